"""Hosts of APIs on AWS: a request for `{apiId}.execute-api.…` gets the path at which the emulator serves that API."""

from __future__ import annotations

import re
from collections.abc import Mapping

from parley.asgi import Scope
from parley.template.model import Template

_API_HOST = re.compile(rb"([a-z0-9]+)\.execute-api\.", re.IGNORECASE)


def prefixes(template: Template) -> dict[str, str]:
    """Return what the emulator puts before the paths of an API on AWS, by the id of the API."""
    sockets, https = template.websocket_apis, template.http_apis
    several = {api.api_id: f"/{api.logical_id}" if len(sockets) > 1 else "" for api in sockets}
    return several | {api.api_id: f"/{api.logical_id}" if index else "" for index, api in enumerate(https)}


def with_own_path(scope: Scope, prefixes: Mapping[str, str]) -> Scope:
    """Return the scope of a request with the path at which the emulator serves the API that its host names.

    The path as sent (`raw_path`) stays: a signature is for that one.
    """
    host = next((value for name, value in scope["headers"] if name.lower() == b"host"), b"")
    match = _API_HOST.match(host)
    prefix = prefixes.get(match[1].decode().lower(), "") if match else ""
    return {**scope, "path": f"{prefix}{scope['path']}"} if prefix else scope
