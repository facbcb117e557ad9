"""The HTTP API: FastAPI behind Mangum. Its operations are in `handlers/http`."""

from __future__ import annotations

import os
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from mangum import Mangum
from mangum.adapter import DEFAULT_TEXT_MIME_TYPES
from mangum.handlers import HTTPGateway

from handlers import collector
from handlers.chat.limits.request_rate import RequestRateLimiter
from handlers.chat.log import logger
from handlers.http import problems
from handlers.http.application import application
from handlers.http.dependencies import Services
from handlers.wiring import Wiring


def services(wired: Wiring) -> Services:
    """Return what the operations work with."""
    return Services(
        wired.store,
        wired.authenticator,
        wired.runtime,
        wired.settings,
        wired.deliver,
        wired.erase,
        # Only administrators close connections, so not every cold start pays for the gateway.
        connections=lambda: wired.connections,
        count_request=RequestRateLimiter(wired.settings.limits.requests_per_minute, wired.runtime).use,
        wrong_settings=wired.wrong_settings,
    )


class HttpApiEvent(HTTPGateway):
    """The event of an HTTP API. Its path is decoded already (docs/aws.md section 9); Mangum would decode it again."""

    @property
    def scope(self) -> dict[str, Any]:
        """Return the ASGI scope, with the path as it stands in the event."""
        return {**super().scope, "path": self.event["requestContext"]["http"]["path"] or "/"}


# With a wrong setting the API starts: `/health` names it.
wired = Wiring(os.environ, identifies_users=True, has_assistants=True).build("functions")
app = application(services(wired), wired.settings.allowed_origins)
adapter = Mangum(
    app,
    lifespan="off",
    custom_handlers=[HttpApiEvent],
    text_mime_types=[*DEFAULT_TEXT_MIME_TYPES, problems.MEDIA_TYPE],
)
collector.wake()


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer an HTTP request."""
    answer: dict[str, Any] = adapter(event, context)  # type: ignore[arg-type]
    return answer
