"""Integrations that are no functions: none at all (MOCK), or a URL (HTTP and HTTP_PROXY)."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from local.gateway.mapping import MappingError, rendered
from local.gateway.routes import Selection
from local.template.model import HttpIntegration, IntegrationResponse, MockIntegration, Templates

_VARIABLE = re.compile(r"\$\{stageVariables\.(\w+)\}")
_THREADS = 32


class IntegrationError(Exception):
    """An integration did not answer, or not as it must; the text says why."""


@dataclass(frozen=True, slots=True)
class Message:
    """What an integration gets: the body of a message, empty for `$connect` and `$disconnect`."""

    body: str
    context: Mapping[str, Any]
    stage_variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it: the status, and the body for a route that has a response."""

    status: int
    body: str | None


class Outgoing:
    """Calls such integrations."""

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None
        self._opener = build_opener(_NoRedirects)

    async def send(self, integration: MockIntegration | HttpIntegration, message: Message) -> Result:
        """Hand a message to an integration. Raises `IntegrationError`."""
        try:
            if isinstance(integration, MockIntegration):
                return _mocked(integration, message)
            return await self._request(integration, message)
        except MappingError as error:
            raise IntegrationError(f"a mapping template failed: {error}") from None

    async def _request(self, integration: HttpIntegration, message: Message) -> Result:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="integration")
        body = message.body if integration.proxy else _request_body(integration.templates, message)
        url = _VARIABLE.sub(lambda match: message.stage_variables.get(match[1], ""), integration.url)
        loop = asyncio.get_running_loop()
        status, answer = await loop.run_in_executor(
            self._executor, self._exchange, integration.method, url, body, integration.timeout
        )
        if integration.proxy:
            return Result(status, answer)
        return Result(status, _response_body(integration.responses, status, answer, message))

    def _exchange(self, method: str, url: str, body: str, seconds: float) -> tuple[int, str]:
        if not url.startswith(("http://", "https://")):
            raise IntegrationError(f"{url!r} is no http or https URL")
        method = "POST" if method == "ANY" else method
        data = body.encode() if body and method not in ("GET", "HEAD") else None
        request = Request(url, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310
        try:
            with self._opener.open(request, timeout=seconds) as answer:
                return answer.status, answer.read().decode(errors="replace")
        except HTTPError as error:
            return error.code, error.read().decode(errors="replace")
        except (OSError, ValueError) as error:
            raise IntegrationError(f"no answer from {url}: {error}") from None


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **more: Any) -> None:
        """Follow none: API Gateway hands them on."""


def _mocked(integration: MockIntegration, message: Message) -> Result:
    try:
        status = int(json.loads(_request_body(integration.templates, message))["statusCode"])
    except (ValueError, TypeError, KeyError):
        raise IntegrationError("the request template of a MOCK integration must give a statusCode, as JSON") from None
    return Result(status, _response_body(integration.responses, status, "", message))


def _request_body(templates: Templates, message: Message) -> str:
    template = _chosen(templates, message.body)
    if template is None:
        return message.body
    return rendered(template, message.body, message.context, message.stage_variables)


def _response_body(
    responses: tuple[IntegrationResponse, ...], status: int, answer: str, message: Message
) -> str | None:
    """Return the body by the response whose key fits the status, else by `$default`; as it came without a template."""
    response = next((each for each in responses if _fits(each.key, status)), None)
    response = response or next((each for each in responses if each.key == "$default"), None)
    template = _chosen(response.templates, message.body) if response else None
    if template is None:
        return answer or None
    return rendered(template, answer, message.context, message.stage_variables)


def _fits(key: str, status: int) -> bool:
    """Tell whether a key as `/4../` is of a status."""
    try:
        return key.startswith("/") and re.fullmatch(key.strip("/"), str(status)) is not None
    except re.error:
        return False


def _chosen(templates: Templates, body: str) -> str | None:
    """Return the template that the selection expression names, else `$default`."""
    key = Selection(templates.selection).key(body) if templates.selection else None
    return templates.by_key.get(key or "$default", templates.by_key.get("$default"))
