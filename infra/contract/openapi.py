"""The OpenAPI document of the HTTP API: `docs/openapi.json`, which is what the API serves as `/openapi.json`."""

from __future__ import annotations

from typing import Any, cast

from handlers.http.application import application
from handlers.http.dependencies import Services


def openapi() -> dict[str, Any]:
    """Return the OpenAPI document. Nothing is asked of the services behind the API."""
    return application(cast("Services", None), allowed_origins=()).openapi()
