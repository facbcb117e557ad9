"""Quotas of API Gateway, and the rate limiters that apply them (docs/aws.md sections 3 to 6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from parley.template.model import Stage

MAX_FRAME_BYTES = 32 * 1024
"""Maximum size of a frame from a client. A larger one closes the connection with 1009."""

MAX_MESSAGE_BYTES = 128 * 1024
"""Maximum size of a message from a client, in one frame or more, and of a post to a connection."""

MAX_URL_BYTES = 4096
"""Maximum length of a handshake's URL with its query."""

MAX_AUTHORIZER_RESULT_BYTES = 8 * 1024
"""Maximum size of an authorizer's result."""

_GUIDE = "https://docs.aws.amazon.com/apigateway/latest/developerguide"
_QUOTAS = f"{_GUIDE}/apigateway-execution-service-websocket-limits-table.html"
_THROTTLING = f"{_GUIDE}/websocket-api-protect-throttling.html"


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of AWS: its text, and the document that states it."""

    text: str
    document: str = _QUOTAS

    def as_fields(self) -> dict[str, str]:
        """Return the limit as fields of a trace event."""
        return {"limit": self.text, "document": self.document}


FRAME_SIZE = Limit("a frame can have 32 KB at most, a message 128 KB")
BINARY = Limit("API Gateway accepts text frames only", f"{_GUIDE}/websocket-api-develop-binary-media-types.html")
IDLE = Limit("a connection without data for 10 minutes is closed")
LIFETIME = Limit("a connection lives for 2 hours at most")
INTEGRATION_TIME = Limit("an integration must answer within 29 s, or within its TimeoutInMillis if that is shorter")
NEW_CONNECTIONS = Limit("an account can open 500 connections a second")
REQUEST_RATE = Limit("an account has 10,000 requests a second over all its APIs, 5,000 at once", _THROTTLING)
ROUTE_RATE = Limit("the stage's throttling settings for this route", _THROTTLING)
URL_LENGTH = Limit("a URL can have 4,096 characters at most")
POST_SIZE = Limit("a post can have 128 KB at most")
CLIENT_BUFFER = Limit(
    "a client that does not read gets no more frames once its buffer is full; a post is answered with 429",
    "https://docs.aws.amazon.com/botocore/latest/reference/services/apigatewaymanagementapi/client/exceptions/"
    "LimitExceededException.html",
)
MAX_HTTP_REQUEST_BYTES = 10 * 1024 * 1024
_HTTP_QUOTAS = f"{_GUIDE}/http-api-quotas.html"
HTTP_REQUEST_SIZE = Limit("a request to an HTTP API can have 10 MB at most", _HTTP_QUOTAS)
HTTP_INTEGRATION_TIME = Limit("an integration of an HTTP API must answer within 30 s", _HTTP_QUOTAS)
_REST_QUOTAS = f"{_GUIDE}/api-gateway-execution-service-limits-table.html"
REST_REQUEST_SIZE = Limit("a request to a REST API can have 10 MB at most", _REST_QUOTAS)
REST_INTEGRATION_TIME = Limit("an integration of a REST API must answer within 29 s", _REST_QUOTAS)
URL_REQUEST_SIZE = Limit(
    "a request to a function URL can have 6 MB at most",
    "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html",
)
AUTHORIZER_RESULT = Limit("an authorizer's result can have 8 KB at most")


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Time limits in seconds: idle time of a connection, its whole life, and the time of an integration."""

    idle: float = 600.0
    connection: float = 7200.0
    integration: float = 29.0


@dataclass(frozen=True, slots=True)
class Quotas:
    """Rates of an account: new connections a second, requests of any kind a second, and requests at once."""

    connections: float = 500.0
    requests: float = 10_000.0
    burst: float = 5_000.0


class TokenBucket:
    """A token bucket. It starts full, holds `burst` tokens, and gets `rate` tokens a second."""

    def __init__(self, rate: float, burst: float, now: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = burst
        self._now = now
        self._tokens = burst
        self._at = now()

    def take(self) -> bool:
        """Take a token. Returns False if there is none."""
        now = self._now()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def refill(self) -> None:
        """Fill the bucket. The clock may have been set back."""
        self._tokens, self._at = self._burst, self._now()


class AccountRateLimiter:
    """Rate limiter of an account; all its APIs share it."""

    def __init__(self, quotas: Quotas, now: Callable[[], float]) -> None:
        self._connections = TokenBucket(quotas.connections, quotas.connections, now)
        self._requests = TokenBucket(quotas.requests, quotas.burst, now)

    def connect(self) -> Limit | None:
        """Count a handshake. Returns the limit that forbids it, or None."""
        if not self._connections.take():
            return NEW_CONNECTIONS
        return self.request()

    def request(self) -> Limit | None:
        """Count a request of any kind. Returns the limit that forbids it, or None."""
        return None if self._requests.take() else REQUEST_RATE

    def reset(self) -> None:
        """Forget the handshakes and requests so far."""
        self._connections.refill()
        self._requests.refill()


class RouteRateLimiter:
    """Rate limiter of one stage: a token bucket for each route with throttling settings. `now` returns seconds."""

    def __init__(self, stage: Stage, now: Callable[[], float]) -> None:
        self._stage = stage
        self._now = now
        self._buckets: dict[str, TokenBucket] = {}

    def take(self, route_key: str) -> Limit | None:
        """Count a request of a route. Returns the limit that forbids it, or None."""
        throttle = self._stage.route_throttles.get(route_key, self._stage.throttle)
        if throttle is None:
            return None
        if route_key not in self._buckets:
            self._buckets[route_key] = TokenBucket(throttle.rate, throttle.burst, self._now)
        return None if self._buckets[route_key].take() else ROUTE_RATE

    def reset(self) -> None:
        """Forget the requests so far."""
        self._buckets.clear()
