"""Whether a handshake becomes a connection: limits, signature, authorizer, `$connect` (docs/aws.md section 2)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from parley.account import ACCOUNT_ID, REGION
from parley.asgi import Response
from parley.gateway.events import Handshake, Headers
from parley.gateway.integrations.caller import Answer, Ending
from parley.gateway.quotas import URL_BYTES, URL_LENGTH, Throttling
from parley.gateway.websocket.authorizers import Allowed, Refused, decision, missing_identity
from parley.gateway.websocket.context import Service
from parley.template.model import Authorizer, LambdaIntegration, Route

CONNECT = "$connect"
_OWN_HEADERS = {"sec-websocket-protocol", "content-length", "connection", "upgrade", "sec-websocket-accept"}
_MESSAGES = {401: "Unauthorized", 403: "Forbidden", 429: "Too Many Requests", 414: "Request-URI Too Long"}


@dataclass(frozen=True, slots=True)
class Admitted:
    """A handshake that is to become a connection. `headers` are further ones of the answer."""

    handshake: Handshake
    subprotocol: str | None = None
    headers: Headers = field(default_factory=list)


class Admission:
    """Decides about the handshakes of one stage; `route` is its `$connect`."""

    def __init__(self, route: Route | None, throttling: Throttling, service: Service) -> None:
        self._route = route
        self._throttling = throttling
        self._service = service
        self._trace = service.trace
        self._assumptions = service.assumptions

    async def decide(self, handshake: Handshake, url_bytes: int) -> Admitted | Response:
        """Return how a handshake goes on, or the response that refuses it."""
        if refusal := self._over_a_limit(handshake, url_bytes):
            return refusal
        if self._route is None:
            return Admitted(handshake)
        authorized = await self._authorize(self._route, handshake)
        if isinstance(authorized, Refused):
            return self._refuse(handshake, authorized.status, authorized.why)
        event = authorized.connect_event(self._service.clock.time())
        return self._answered(authorized, await self._service.backend.call(self._route, event, authorized))

    def _over_a_limit(self, handshake: Handshake, url_bytes: int) -> Response | None:
        if url_bytes > URL_BYTES:
            status, limit = 414, URL_LENGTH
        elif over := self._service.account.connect() or self._throttling.take(CONNECT):
            status, limit = 429, over
        else:
            return None
        what = f"handshake answered with {status}"
        self._trace.record("limit", connection_id=handshake.connection_id, what=what, **limit.told())
        return self._response(status)

    async def _authorize(self, route: Route, handshake: Handshake) -> Handshake | Refused:
        if route.iam and not self._service.is_signed(handshake):
            return Refused(403, "$connect has AWS_IAM, and the handshake is not signed (SigV4), or not as it must be")
        if route.authorizer is None:
            return handshake
        return await self._ask(route.authorizer, handshake)

    async def _ask(self, authorizer: Authorizer, handshake: Handshake) -> Handshake | Refused:
        if missing := missing_identity(authorizer.identity_sources, handshake):
            return Refused(401, f"it lacks the authorizer's identity source {missing}")
        arn = f"arn:aws:execute-api:{REGION}:{ACCOUNT_ID}:{handshake.api_id}/{handshake.stage}/{CONNECT}"
        event = handshake.authorizer_event(arn, self._service.clock.time())
        integration = LambdaIntegration(authorizer.function, authorizer.qualifier)
        route = f"{CONNECT} authorizer {authorizer.name}"
        outcome = await self._service.backend.invoke(integration, event, handshake, route)
        if outcome is None:
            return Refused(500, "the authorizer did not answer in time")
        match decision(outcome, arn):
            case Allowed(context):
                return replace(handshake, authorizer=context)
            case refused:
                return refused

    def _answered(self, handshake: Handshake, answer: Answer) -> Admitted | Response:
        if answer.ending is Ending.TIMED_OUT:
            return self._refuse(handshake, 504, "$connect did not answer in time")
        if answer.ending is Ending.FAILED:
            return self._refuse(handshake, 502, "$connect failed")
        if answer.status is None and self._assumptions.connect_null == "refused":
            return self._refuse(handshake, 502, "$connect returned no statusCode")
        if answer.status is not None and not 200 <= answer.status < 300:
            status = answer.status if 300 <= answer.status < 600 else 502
            return self._refuse(handshake, status, f"$connect returned {answer.status}", answer)
        return Admitted(handshake, answer.headers.get("sec-websocket-protocol"), self._passed(answer))

    def _refuse(self, handshake: Handshake, status: int, why: str, answer: Answer | None = None) -> Response:
        self._trace.record("refuse", connection_id=handshake.connection_id, status=status, why=why)
        return self._response(status, dict(self._passed(answer)) if answer else {})

    def _response(self, status: int, headers: dict[str, str] | None = None) -> Response:
        if self._assumptions.refusal_body == "empty":
            return Response(status, headers or {})
        message = _MESSAGES.get(status, "Internal server error" if status >= 500 else "Forbidden")
        return Response.of_json(status, {"message": message}, headers)

    def _passed(self, answer: Answer) -> Headers:
        if self._assumptions.response_headers == "dropped":
            return []
        return [(name, value) for name, value in answer.headers.items() if name not in _OWN_HEADERS]
