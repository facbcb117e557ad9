"""The HTTP API as an ASGI application, with its OpenAPI document."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

from handlers.chat.errors import Refused
from handlers.http import admin, assistants, attachments, chats, feedback, me, messages, problems
from handlers.http.dependencies import Services, ServicesDep
from handlers.http.descriptions import describe
from handlers.http.middleware import HEALTH_PATH, Guard
from handlers.http.problems import Problem
from handlers.http.schemas import Export, Health

_EXPOSED = ["Content-Disposition", "Retry-After", "WWW-Authenticate"]
_CORS_MAX_AGE_SECONDS = 600
_ASYNCAPI = Path(__file__).parents[2] / "docs" / "asyncapi.json"
"""The document of the WebSocket API. `make contract` writes it, and the bundle of this function has it."""

_DESCRIPTION = """\
What needs no socket: lists, pages, exports, uploads and administration. `/asyncapi.json` describes the WebSocket API.

Every error is a problem document (RFC 9457) with a `code`. All operations but `/health` and the documents take a JSON
Web Token. Texts are in NFC, times are RFC 3339 UTC with milliseconds, ids are opaque, and unknown fields are ignored.
API Gateway itself answers 429 if the stage is throttled and 503 if the function does not answer: `{"message": …}`."""

_TAGS = [
    {"name": "chats", "description": "The chats of the user."},
    {"name": "messages", "description": "Pages of messages, and exports."},
    {"name": "feedback", "description": "Ratings of replies."},
    {"name": "attachments", "description": "Files of messages."},
    {"name": "assistants", "description": "The assistants that a chat may have."},
    {"name": "me", "description": "The user of the token."},
    {"name": "admin", "description": "Operations for administrators."},
    {"name": "health", "description": "The state of the API."},
    {"name": "documents", "description": "Descriptions for programs."},
]

_UNHEALTHY: dict[int | str, dict[str, Any]] = {
    503: {"model": Health, "description": "A setting of the deployment, or an assistant, cannot be used"}
}


class Api(FastAPI):
    """FastAPI, whose OpenAPI document also has the models that no operation names, and words for every field."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        if self.openapi_schema is None:
            document = super().openapi()
            _, definitions = models_json_schema(
                [(Problem, "serialization"), (Export, "serialization")], ref_template="#/components/schemas/{model}"
            )
            document["components"]["schemas"].update(definitions["$defs"])
            describe(document)
        return self.openapi_schema or {}


def application(services: Services, allowed_origins: tuple[str, ...]) -> Api:
    """Return the application. Pages of the allowed origins may read its responses."""
    app = Api(
        title="Parley",
        version="1",
        summary="Chats, messages and users, beside the WebSocket API.",
        description=_DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        openapi_tags=_TAGS,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
        separate_input_output_schemas=False,
    )
    app.state.services = services
    app.add_exception_handler(Refused, problems.on_refused)
    app.add_exception_handler(RequestValidationError, problems.on_invalid)
    app.add_exception_handler(HTTPException, problems.on_http)
    for part in (chats, messages, feedback, attachments, assistants, me, admin):
        app.include_router(part.router)
    app.get(HEALTH_PATH, tags=["health"], response_model_exclude_none=True, responses=_UNHEALTHY)(health)
    app.get("/asyncapi.json", tags=["documents"], response_class=JSONResponse)(asyncapi)
    app.add_middleware(Guard)
    _share(app, allowed_origins)
    return app


def _share(app: FastAPI, origins: tuple[str, ...]) -> None:
    """Let the scripts of pages of these origins read the responses."""
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "HEAD", "POST", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=_EXPOSED,
            max_age=_CORS_MAX_AGE_SECONDS,
        )


def _operation_id(route: APIRoute) -> str:
    return route.name


def asyncapi() -> Response:
    """Return the AsyncAPI document of the WebSocket API. It takes no token."""
    return Response(_ASYNCAPI.read_bytes(), media_type="application/json")


def health(services: ServicesDep, response: Response) -> Health:
    """Say that the API answers, and whether all settings and all assistants can be used.

    It uses no other service, and takes no token.
    """
    wrong, broken = sorted(services.wrong_settings), sorted(services.settings.assistants.broken)
    if not wrong and not broken:
        return Health()
    response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return Health(status="misconfigured", settings=wrong or None, assistants=broken or None)
