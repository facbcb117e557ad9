"""The HTTP API: FastAPI behind Mangum. What it offers is in `handlers/http`."""

from __future__ import annotations

import os
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from mangum import Mangum
from mangum.adapter import DEFAULT_TEXT_MIME_TYPES

from handlers.chat.aws import CONFIG, SESSION
from handlers.chat.concurrency import Runtime
from handlers.chat.delivery.functions import Functions
from handlers.chat.identity.tokens import Authenticator
from handlers.chat.identity.users import Membership
from handlers.chat.log import logger
from handlers.chat.settings import Settings
from handlers.chat.store import Store
from handlers.http import problems
from handlers.http.application import application
from handlers.http.dependencies import Services

settings = Settings.of(os.environ)
runtime = Runtime()
store = Store(runtime)
functions = Functions(SESSION.client("lambda", config=CONFIG))
services = Services(
    store,
    Authenticator.of(settings, Membership(store, settings.auto_create_users, runtime)),
    functions,
    settings,
    # Only administrators hang up, so not every cold start reads that service's model.
    management=lambda: SESSION.client("apigatewaymanagementapi", config=CONFIG),
    runtime=runtime,
)
app = application(services)
adapter = Mangum(app, lifespan="off", text_mime_types=[*DEFAULT_TEXT_MIME_TYPES, problems.MEDIA_TYPE])


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer an HTTP request."""
    answer: dict[str, Any] = adapter(event, context)  # type: ignore[arg-type]
    return answer
