"""The limits of API Gateway's WebSocket APIs, and what is said of them when one is met (docs/aws.md sections 3 to 6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from parley.template.model import Stage

MAX_FRAME_BYTES = 32 * 1024
"""The largest frame from a client; a larger one closes the connection with 1009."""

MAX_MESSAGE_BYTES = 128 * 1024
"""The largest message from a client, of one frame or many, and the largest post to a connection."""

MAX_URL_BYTES = 4096
"""The longest URL of a handshake, query included."""

MAX_AUTHORIZER_RESULT_BYTES = 8 * 1024
"""The largest result of an authorizer."""

_GUIDE = "https://docs.aws.amazon.com/apigateway/latest/developerguide"
_QUOTAS = f"{_GUIDE}/apigateway-execution-service-websocket-limits-table.html"
_THROTTLING = f"{_GUIDE}/websocket-api-protect-throttling.html"


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of AWS's: what it says, and the document that says so."""

    text: str
    document: str = _QUOTAS

    def as_fields(self) -> dict[str, str]:
        """Return it as fields of a happening."""
        return {"limit": self.text, "document": self.document}


FRAME_SIZE = Limit("a frame may have 32 KB, a message 128 KB")
BINARY = Limit("API Gateway takes text frames only", f"{_GUIDE}/websocket-api-develop-binary-media-types.html")
IDLE = Limit("a connection without data for 10 minutes is closed")
LIFETIME = Limit("a connection lives for 2 hours at most")
INTEGRATION_TIME = Limit("an integration has 29 s to answer, or less where its TimeoutInMillis says so")
NEW_CONNECTIONS = Limit("an account may open 500 connections a second")
REQUEST_RATE = Limit("an account has 10,000 requests a second over all its APIs, 5,000 at once", _THROTTLING)
ROUTE_RATE = Limit("the stage's throttling settings for this route", _THROTTLING)
URL_LENGTH = Limit("a URL may have 4,096 characters")
POST_SIZE = Limit("a post may have 128 KB")
MAX_HTTP_REQUEST_BYTES = 10 * 1024 * 1024
_HTTP_QUOTAS = f"{_GUIDE}/http-api-quotas.html"
HTTP_REQUEST_SIZE = Limit("a request to an HTTP API may have 10 MB", _HTTP_QUOTAS)
HTTP_INTEGRATION_TIME = Limit("an integration of an HTTP API has 30 s to answer", _HTTP_QUOTAS)
AUTHORIZER_RESULT = Limit("an authorizer's result may have 8 KB")


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds: without data either way, of a connection's whole life, and for an integration's answer."""

    idle: float = 600.0
    connection: float = 7200.0
    integration: float = 29.0


@dataclass(frozen=True, slots=True)
class Quotas:
    """What an account may do: new connections a second; requests of any kind a second, and at once."""

    connections: float = 500.0
    requests: float = 10_000.0
    burst: float = 5_000.0


class TokenBucket:
    """A token bucket: full at first, with room for `burst`, filled at `rate` tokens a second."""

    def __init__(self, rate: float, burst: float, now: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = burst
        self._now = now
        self._tokens = burst
        self._at = now()

    def take(self) -> bool:
        """Take a token. Returns False where there is none."""
        now = self._now()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class AccountRateLimiter:
    """What all APIs of an account share: the buckets of its quotas."""

    def __init__(self, quotas: Quotas, now: Callable[[], float]) -> None:
        self._connections = TokenBucket(quotas.connections, quotas.connections, now)
        self._requests = TokenBucket(quotas.requests, quotas.burst, now)

    def connect(self) -> Limit | None:
        """Count a handshake. Returns the limit that forbids it."""
        if not self._connections.take():
            return NEW_CONNECTIONS
        return self.request()

    def request(self) -> Limit | None:
        """Count a request of any kind. Returns the limit that forbids it."""
        return None if self._requests.take() else REQUEST_RATE


class RouteRateLimiter:
    """The buckets of one stage. `now` gives the time in seconds."""

    def __init__(self, stage: Stage, now: Callable[[], float]) -> None:
        self._stage = stage
        self._now = now
        self._buckets: dict[str, TokenBucket] = {}

    def take(self, route_key: str) -> Limit | None:
        """Count a request of a route. Returns the limit that forbids it."""
        throttle = self._stage.route_throttles.get(route_key, self._stage.throttle)
        if throttle is None:
            return None
        if route_key not in self._buckets:
            self._buckets[route_key] = TokenBucket(throttle.rate, throttle.burst, self._now)
        return None if self._buckets[route_key].take() else ROUTE_RATE
