"""Decision about a handshake: limits, signature, authorizer, `$connect` (docs/aws.md section 2)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from parley.account import ACCOUNT_ID, REGION
from parley.asgi import Response
from parley.gateway.events import Handshake, Headers
from parley.gateway.integrations.caller import CallState, IntegrationResult
from parley.gateway.quotas import MAX_URL_BYTES, URL_LENGTH, RouteRateLimiter
from parley.gateway.signature import SignedRequest, access_key
from parley.gateway.websocket.authorizers import Allowed, Refused, evaluate_policy, missing_identity
from parley.gateway.websocket.context import GatewayContext
from parley.template.model import Authorizer, LambdaIntegration, Route

CONNECT = "$connect"
_GATEWAY_HEADERS = {"sec-websocket-protocol", "content-length", "connection", "upgrade", "sec-websocket-accept"}
_MESSAGES = {401: "Unauthorized", 403: "Forbidden", 429: "Too Many Requests", 414: "Request-URI Too Long"}


@dataclass(frozen=True, slots=True)
class AcceptedHandshake:
    """A handshake that becomes a connection. `headers` are additional headers of the response."""

    handshake: Handshake
    subprotocol: str | None = None
    headers: Headers = field(default_factory=list)


class HandshakeHandler:
    """Decides about the handshakes of one stage. `route` is the stage's `$connect`, if it has one."""

    def __init__(self, route: Route | None, route_limiter: RouteRateLimiter, context: GatewayContext) -> None:
        self._route = route
        self._route_limiter = route_limiter
        self._context = context
        self._trace = context.trace
        self._assumptions = context.assumptions

    async def decide(self, handshake: Handshake, url_bytes: int) -> AcceptedHandshake | Response:
        """Return the accepted handshake, or the response that refuses it."""
        # The order matters: limits come before functions, so a flood invokes none. Signature and identity sources come
        # before the authorizer, and the authorizer before `$connect`: only authorized clients reach the API's own code.
        if refusal := self._check_limits(handshake, url_bytes):
            return refusal
        if self._route is None:
            return AcceptedHandshake(handshake)
        authorized = await self._authorize(self._route, handshake)
        if isinstance(authorized, Refused):
            return self._refuse(handshake, authorized.status, authorized.why)
        event = authorized.connect_event(self._context.clock.time())
        return self._decide_by_result(authorized, await self._context.integrations.call(self._route, event, authorized))

    def _check_limits(self, handshake: Handshake, url_bytes: int) -> Response | None:
        if url_bytes > MAX_URL_BYTES:
            status, limit = 414, URL_LENGTH
        elif over := self._context.account.connect() or self._route_limiter.take(CONNECT):
            status, limit = 429, over
        else:
            return None
        what = f"handshake answered with {status}"
        self._trace.record("limit", connection_id=handshake.connection_id, what=what, **limit.as_fields())
        return self._response(status)

    async def _authorize(self, route: Route, handshake: Handshake) -> Handshake | Refused:
        if route.iam:
            if not self._context.is_signed(handshake):
                return Refused(403, "$connect requires AWS_IAM, but the handshake has no valid signature (SigV4)")
            request = SignedRequest("GET", f"/{handshake.stage}", handshake.query, handshake.headers)
            handshake = replace(handshake, access_key=access_key(request))
        if route.authorizer is None:
            return handshake
        return await self._call_authorizer(route.authorizer, handshake)

    async def _call_authorizer(self, authorizer: Authorizer, handshake: Handshake) -> Handshake | Refused:
        if missing := missing_identity(authorizer.identity_sources, handshake):
            return Refused(401, f"the authorizer's identity source {missing} is missing")
        arn = f"arn:aws:execute-api:{REGION}:{ACCOUNT_ID}:{handshake.api_id}/{handshake.stage}/{CONNECT}"
        event = handshake.authorizer_event(arn, self._context.clock.time())
        integration = LambdaIntegration(authorizer.function, authorizer.qualifier)
        route = f"{CONNECT} authorizer {authorizer.name}"
        outcome = await self._context.integrations.invoke(integration, event, handshake, route)
        if outcome is None:
            return Refused(500, "the authorizer did not answer in time")
        match evaluate_policy(outcome, arn):
            case Allowed(context):
                return replace(handshake, authorizer=context)
            case refused:
                return refused

    def _decide_by_result(self, handshake: Handshake, result: IntegrationResult) -> AcceptedHandshake | Response:
        if result.state is CallState.TIMED_OUT:
            return self._refuse(handshake, 504, "$connect did not answer in time")
        if result.state is CallState.FAILED:
            return self._refuse(handshake, 502, "$connect failed")
        if result.status is None and self._assumptions.connect_null == "refused":
            return self._refuse(handshake, 502, "$connect returned no statusCode")
        if result.status is not None and not 200 <= result.status < 300:
            status = result.status if 300 <= result.status < 600 else 502
            return self._refuse(handshake, status, f"$connect returned {result.status}", result)
        return AcceptedHandshake(handshake, result.headers.get("sec-websocket-protocol"), self._passed_headers(result))

    def _refuse(self, handshake: Handshake, status: int, why: str, result: IntegrationResult | None = None) -> Response:
        self._trace.record("refuse", connection_id=handshake.connection_id, status=status, why=why)
        return self._response(status, dict(self._passed_headers(result)) if result else {})

    def _response(self, status: int, headers: dict[str, str] | None = None) -> Response:
        if self._assumptions.refusal_body == "empty":
            return Response(status, headers or {})
        message = _MESSAGES.get(status, "Internal server error" if status >= 500 else "Forbidden")
        return Response.of_json(status, {"message": message}, headers)

    def _passed_headers(self, result: IntegrationResult) -> Headers:
        if self._assumptions.response_headers == "dropped":
            return []
        return [(name, value) for name, value in result.headers.items() if name not in _GATEWAY_HEADERS]
