"""The emulator's own API: the trace, the reports, the rules, the fault plan, tokens, the requests of tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from parley.asgi import Response
from parley.emulator.console_api import ConsoleApi
from parley.emulator.event_sources import EventSources
from parley.emulator.pages import Pages
from parley.emulator.paths import FAULTS_PATH, OWN_PATH, RULES_PATH, TOKEN_PATH
from parley.emulator.reset_api import ResetApi
from parley.emulator.trace_api import TraceApi
from parley.faults.injector import Injector

Reports = Mapping[str, Callable[[], Any]]
"""Functions that return what there is at a path, as plain JSON."""


class OwnApi:
    """The API. `reports` returns the reports there are now. Without faults or tests there is nothing for them."""

    def __init__(
        self,
        trace_api: TraceApi,
        reports: Callable[[], Reports],
        sources: EventSources,
        injector: Injector | None,
        reset_api: ResetApi | None,
        console_api: ConsoleApi,
        pages: Pages,
    ) -> None:
        self._trace_api = trace_api
        self._reports = reports
        self._sources = sources
        self._injector = injector
        self._reset_api = reset_api
        self._console_api = console_api
        self._pages = pages

    async def answer(self, method: str, path: str, query: bytes, body: bytes) -> Response:
        """Answer a request."""
        answer = await self._trace_api.answer(method, path, query, body)
        answer = answer or await self._console_api.answer(method, path, query)
        if answer:
            return answer
        if report := self._reports().get(path):
            return Response.of_json(200, report())
        if path == TOKEN_PATH:
            return self._pages.answer_token(method, body)
        if path == RULES_PATH:
            return self._sources.answer(method, body)
        if self._reset_api and (order := self._reset_api.orders.get(path.removeprefix(OWN_PATH))):
            return await order(method, body)
        return self._of_faults(method, path, body) or Response.of_json(404, {"message": "Not Found"})

    def _of_faults(self, method: str, path: str, body: bytes) -> Response | None:
        if self._injector and path == FAULTS_PATH:
            return self._injector.answer(method, body)
        if self._injector and path.startswith(f"{FAULTS_PATH}/"):
            return self._injector.answer_about(path.removeprefix(f"{FAULTS_PATH}/"), method)
        return None
