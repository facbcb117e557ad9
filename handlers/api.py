"""The HTTP API: FastAPI behind Mangum."""

from __future__ import annotations

import os
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from mangum import Mangum
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from handlers.chat.auth import Authenticator
from handlers.chat.errors import Refused
from handlers.chat.settings import Settings
from handlers.chat.store import Store

store = Store()
authenticator = Authenticator(Settings.of(os.environ).jwt_secret, store.user_exists)
app = FastAPI(title="Parley", version="1")


class Health(BaseModel):
    """The function runs."""

    status: str = "ok"


class Me(BaseModel):
    """Whose the token is."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)
    user_id: str
    name: str


def current_user(
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))],
) -> str:
    """Return the id of the bearer token's user. Answers 401 for a missing or bad token."""
    try:
        return authenticator.user_of(bearer.credentials if bearer else "")
    except Refused as refusal:
        raise HTTPException(401, refusal.message, {"WWW-Authenticate": "Bearer"}) from None


@app.get("/health")
def health() -> Health:
    """Tell that the API answers. Touches nothing behind it."""
    return Health()


@app.get("/me")
def me(user_id: Annotated[str, Depends(current_user)]) -> Me:
    """Return the user of the bearer token."""
    return Me(user_id=user_id, name=store.user_name(user_id) or user_id)


handler = Mangum(app, lifespan="off")
