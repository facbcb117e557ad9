"""Calls of routes' integrations, and their results (docs/aws.md sections 2 and 3)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from parley.clock import Clock
from parley.functions.invocation import Outcome
from parley.gateway.events import Event, Handshake
from parley.gateway.integrations.non_lambda import (
    IntegrationRequest,
    NonLambdaFailure,
    NonLambdaResponse,
    call_non_lambda,
)
from parley.gateway.quotas import INTEGRATION_TIME, TimeLimits
from parley.template.model import HttpIntegration, LambdaIntegration, MockIntegration, Route, ServiceIntegration
from parley.trace import Trace

Invoke = Callable[[str, bytes, str], Awaitable[Outcome]]
"""Invokes a function, given its name, the event and the qualifier."""


class CallState(Enum):
    """End of a call of an integration."""

    ANSWERED = auto()
    FAILED = auto()
    TIMED_OUT = auto()


@dataclass(frozen=True, slots=True)
class IntegrationResult:
    """Result of an integration. `status` is None if the integration returned no valid status."""

    state: CallState
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None


class IntegrationCaller:
    """Calls the integrations of routes."""

    def __init__(self, invoke: Invoke, trace: Trace, clock: Clock, limits: TimeLimits) -> None:
        self._invoke = invoke
        self._trace = trace
        self._clock = clock
        self._limits = limits

    async def call(self, route: Route, event: Event, handshake: Handshake) -> IntegrationResult:
        """Call a route's integration with an event."""
        integration = route.integration
        if not isinstance(integration, LambdaIntegration):
            return await self._call_non_lambda(integration, route.key, event, handshake)
        outcome = await self.invoke(integration, event, handshake, route.key)
        if outcome is None:
            return IntegrationResult(CallState.TIMED_OUT)
        return IntegrationResult(CallState.FAILED) if outcome.function_error else _parse_result(outcome.payload)

    async def invoke(
        self, integration: LambdaIntegration, event: Event, handshake: Handshake, route: str
    ) -> Outcome | None:
        """Invoke a function for a route or for its authorizer. Returns None after the time limit."""
        function, limit = integration.function, min(integration.timeout, self._limits.integration)
        started = self._clock.time()
        payload = json.dumps(event).encode()
        invocation = asyncio.ensure_future(self._invoke(function, payload, integration.qualifier))
        # The invocation is not cancelled: as on AWS, a function keeps running after the gateway has stopped waiting.
        outcome = invocation.result() if await self._clock.within(limit, invocation) else None
        connection_id = handshake.connection_id
        self._trace.record(
            "route",
            connection_id=connection_id,
            route=route,
            function=function,
            milliseconds=round((self._clock.time() - started) * 1000, 1),
            cold=outcome.cold if outcome else None,
            error=(outcome.function_error if outcome else f"no answer within {limit:g} s"),
        )
        if outcome is None:
            what = f"{route} timed out after {limit:g} s; {function} keeps running"
            self._trace.record("limit", connection_id=connection_id, what=what, **INTEGRATION_TIME.as_fields())
        return outcome

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
        self._trace.record(
            "route",
            connection_id=handshake.connection_id,
            route=route,
            function=(integration.name if isinstance(integration, HttpIntegration) else "")
            or type(integration).__name__,
            milliseconds=round((self._clock.time() - started) * 1000, 1),
            cold=None,
            error=error,
        )
        return result


def _of_response(response: NonLambdaResponse | NonLambdaFailure) -> tuple[IntegrationResult, str | None]:
    """Return the result of a MOCK or HTTP integration, and the reason for the log if it failed."""
    if isinstance(response, NonLambdaResponse):
        return IntegrationResult(CallState.ANSWERED, response.status, body=response.body), None
    return IntegrationResult(CallState.TIMED_OUT if response.timed_out else CallState.FAILED), response.why


def _parse_result(payload: bytes) -> IntegrationResult:
    """Parse what a function returned: `statusCode`, `headers`, `body`. Anything else has no status."""
    try:
        answer = json.loads(payload)
        headers = {str(name).lower(): str(value) for name, value in (answer.get("headers") or {}).items()}
        return IntegrationResult(CallState.ANSWERED, int(answer["statusCode"]), headers, _body(answer.get("body")))
    except (ValueError, TypeError, KeyError, AttributeError):
        return IntegrationResult(CallState.ANSWERED)


def _body(body: Any) -> str | None:
    return body if body is None or isinstance(body, str) else json.dumps(body)
