"""Calls of routes' integrations, and their results (docs/aws.md sections 2 and 3)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from parley.clock import Clock
from parley.functions.invocation import Outcome
from parley.functions.service import UnknownFunction
from parley.gateway.events import Event, Handshake
from parley.gateway.integrations.answer import CallState, IntegrationResult, parse_answer
from parley.gateway.integrations.non_lambda import (
    IntegrationRequest,
    NonLambdaFailure,
    NonLambdaResponse,
    call_non_lambda,
)
from parley.gateway.quotas import INTEGRATION_TIME, TimeLimits
from parley.template.model import (
    HttpIntegration,
    LambdaIntegration,
    MockIntegration,
    Route,
    ServiceIntegration,
    UnavailableIntegration,
)
from parley.trace import Trace

Invoke = Callable[[str, bytes, str], Awaitable[Outcome]]
"""Invokes a function, given its name, the event and the qualifier."""


class IntegrationCaller:
    """Calls the integrations of routes. `missing_status` is the status of an answer that names none."""

    def __init__(
        self, invoke: Invoke, trace: Trace, clock: Clock, limits: TimeLimits, missing_status: int | None = 200
    ) -> None:
        self._invoke = invoke
        self._trace = trace
        self._clock = clock
        self._limits = limits
        self._missing_status = missing_status

    async def call(self, route: Route, event: Event, handshake: Handshake) -> IntegrationResult:
        """Call a route's integration with an event."""
        integration = route.integration
        if isinstance(integration, UnavailableIntegration):
            self._record(handshake, route.key, "nothing", self._clock.time(), error=integration.why)
            return IntegrationResult(CallState.FAILED, why=integration.why)
        if not isinstance(integration, LambdaIntegration):
            return await self._call_non_lambda(integration, route.key, event, handshake)
        outcome = await self.invoke(integration, event, handshake, route.key)
        if outcome is None:
            return IntegrationResult(CallState.TIMED_OUT)
        if outcome.function_error:
            return IntegrationResult(CallState.FAILED)
        result = parse_answer(outcome.payload, self._missing_status)
        if result.why:
            self._trace.record("note", text=f"{integration.function} failed for {route.key}: {result.why}.")
        return result

    async def invoke(
        self, integration: LambdaIntegration, event: Event, handshake: Handshake, route: str
    ) -> Outcome | None:
        """Invoke a function for a route or for its authorizer. Returns None after the time limit."""
        function, limit = integration.function, min(integration.timeout, self._limits.integration)
        started = self._clock.time()
        payload = json.dumps(event).encode()
        invocation = asyncio.ensure_future(self._outcome(function, payload, integration.qualifier))
        # The invocation is not cancelled: as on AWS, a function keeps running after the gateway has stopped waiting.
        outcome = invocation.result() if await self._clock.within(limit, invocation) else None
        error = outcome.function_error if outcome else f"no answer within {limit:g} s"
        request_id = outcome.request_id if outcome else ""
        self._record(handshake, route, function, started, outcome.cold if outcome else None, error, request_id)
        if outcome is None:
            what = f"{route} timed out after {limit:g} s; {function} keeps running"
            limits = INTEGRATION_TIME.as_fields()
            self._trace.record("limit", connection_id=handshake.connection_id, what=what, **limits)
        return outcome

    async def _outcome(self, function: str, payload: bytes, qualifier: str) -> Outcome:
        """Invoke a function. One that does not exist, or not with this qualifier, fails."""
        try:
            return await self._invoke(function, payload, qualifier)
        except UnknownFunction as error:
            return Outcome(b"null", str(error), False, 0.0, "")

    def _record(
        self,
        handshake: Handshake,
        route: str,
        function: str,
        started: float,
        cold: bool | None = None,
        error: str | None = None,
        request_id: str = "",
    ) -> None:
        ids = {"request_id": request_id} if request_id else {}
        self._trace.record(
            "route",
            connection_id=handshake.connection_id,
            route=route,
            function=function,
            milliseconds=round((self._clock.time() - started) * 1000, 1),
            cold=cold,
            error=error,
            **ids,
        )

    async def _call_non_lambda(
        self,
        integration: HttpIntegration | MockIntegration | ServiceIntegration,
        route: str,
        event: Event,
        handshake: Handshake,
    ) -> IntegrationResult:
        limit = min(integration.timeout, self._limits.integration)
        started = self._clock.time()
        request = IntegrationRequest.of(event, handshake.stage_variables)
        sending = asyncio.ensure_future(call_non_lambda(integration, request))
        if await self._clock.within(limit, sending):
            result, error = _of_response(sending.result())
        else:
            sending.cancel()
            result, error = IntegrationResult(CallState.TIMED_OUT), f"no answer within {limit:g} s"
        name = integration.name if isinstance(integration, HttpIntegration) else ""
        self._record(handshake, route, name or type(integration).__name__, started, error=error)
        return result


def _of_response(response: NonLambdaResponse | NonLambdaFailure) -> tuple[IntegrationResult, str | None]:
    """Return the result of a MOCK or HTTP integration, and the reason for the log if it failed."""
    if isinstance(response, NonLambdaResponse):
        return IntegrationResult(CallState.ANSWERED, response.status, body=response.body), None
    return IntegrationResult(CallState.TIMED_OUT if response.timed_out else CallState.FAILED), response.why
