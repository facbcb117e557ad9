"""What is known of API Gateway's WebSocket APIs: the one place of each behaviour's text, sources and fidelity.

Tests name the facts that they hold, and on whose word: `@pytest.mark.fact(14, source="aws/chalice#1406")`.
`python -m tests.emulator.facts` writes the tables of docs/emulator.md from these rows and from the tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Fidelity = Literal["faithfully", "approximately", "not"]
Key = int | str

GUIDE = "developer guide"
QUOTAS = "developer guide, WebSocket quotas"
EVENTS = "powertools fixtures of November 2024"
MODEL = "SDK model"
TRANSCRIPT = "transcript (AWS.md 2)"
FRAMES = "twenty transcripts (AWS.md 3)"
NETWORKING = "ServerlessNetworkingClients#3"
LAMBDA = "Lambda developer guide"
UNSURE = "nobody knows"

SECTIONS = {
    1: "Events",
    2: "Handshake",
    3: "Frames from the gateway itself",
    4: "Close and disconnect",
    5: "@connections",
    6: "Order, quotas, asynchronous invocations",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """A behaviour of AWS's. `key` is its number in section 0 of AWS.md, else a name.

    Where it is not known for sure, `switch` is the assumption of the emulator's that says which way it goes;
    `sure` is False also for what has no switch. What is reproduced `not` has no test.
    """

    key: Key
    section: int
    text: str
    sources: tuple[str, ...]
    fidelity: Fidelity = "faithfully"
    switch: str | None = None
    sure: bool = True

    @property
    def counts(self) -> bool:
        """Whether it is one of those that emulators are compared by."""
        return isinstance(self.key, int) and self.sure


def unsure(key: Key, section: int, text: str, switch: str | None = None, *sources: str) -> Fact:
    return Fact(key, section, text, sources or (UNSURE,), "approximately", switch, sure=False)


_ALL = [
    Fact(29, 1, "events have the shape of 2024, to the field", (EVENTS,)),
    Fact("events.headers", 1, "`$connect` has the headers in title case, without those of the hop", (EVENTS,)),
    Fact("events.query", 1, "`$connect` has query parameters only where the URL has some", (EVENTS,)),
    Fact("events.body", 1, "a message's body is its raw text, never base64", (EVENTS,)),
    Fact("events.ids", 1, "ids are 15 base64url characters and `=`; requestId = extendedRequestId", (EVENTS,)),
    Fact("events.moments", 1, "connectedAt is the same in all events of a connection, in milliseconds", (EVENTS,)),
    Fact("events.identity", 1, "identity has sourceIp, and userAgent only where one was sent", (EVENTS,)),
    Fact("events.models", 1, "events validate against powertools' parser models", (EVENTS,)),
    Fact(
        "events.authorizer",
        1,
        "the authorizer's context is in all events, as text; without one there is none",
        (GUIDE,),
    ),
    Fact(
        "events.request",
        1,
        "the authorizer's event has every map even if empty, and the headers of the hop",
        (GUIDE, "powertools fixture of January 2025"),
    ),
    Fact("events.once", 1, "an authorizer is asked once for a connection", (GUIDE,)),
    unsure("events.variables", 1, "events have stageVariables where the stage has some", "stage_variables"),
    Fact(1, 2, "`$connect` returns 401: the handshake is answered with 401", (TRANSCRIPT,)),
    Fact("handshake.statuses", 2, "301, 400, 403, 500, 501, 502 likewise", (TRANSCRIPT, GUIDE)),
    Fact(2, 2, "`$connect` raises: 502", ("two transcripts (AWS.md 2)",)),
    Fact(3, 2, "any 2xx opens the connection", (TRANSCRIPT,)),
    unsure(4, 2, "`$connect` returns null, or nothing with a status: refused with 502", "connect_null"),
    Fact(5, 2, "a subprotocol is chosen only by a header of `$connect`'s answer", (GUIDE,)),
    Fact(6, 2, "a REQUEST authorizer refuses with 401, 403 or 500", (GUIDE, "serverless/examples#557")),
    Fact("handshake.identity", 2, "without an identity source: 401, and no authorizer is asked", (GUIDE,)),
    Fact("handshake.deny", 2, "a policy that denies: 403", (GUIDE,)),
    Fact(
        "handshake.authorizer-fails",
        2,
        "an authorizer that raises, or returns no policy: 500",
        ("serverless/examples#557",),
    ),
    Fact("handshake.iam", 2, "AWS_IAM without a signature: 403", (GUIDE,)),
    Fact("handshake.no-route", 2, "without `$connect` every handshake opens", (GUIDE,)),
    Fact("handshake.waits", 2, "the handshake waits for `$connect`, 29 s at most", (GUIDE,)),
    Fact(
        "handshake.stage",
        2,
        "a stage that there is not: 403",
        ("aws/aws-sdk-php#1955",),
    ),
    unsure("handshake.body", 2, "the body of a refused handshake is empty", "refusal_body"),
    unsure("handshake.headers", 2, "other headers of `$connect`'s answer are dropped", "response_headers"),
    unsure("handshake.deflate", 2, "permessage-deflate is not negotiated"),
    Fact(7, 3, "what is not JSON, or lacks the key, goes to `$default`", (GUIDE,)),
    Fact("routes.paths", 3, "a selection expression may be any path into the body; values are made text", (GUIDE,)),
    Fact(8, 3, "composite selection expressions `${a}/${b}`, static text", (GUIDE,)),
    unsure(9, 3, "a key of a client's that begins with `$` goes to `$default`", "reserved_key"),
    Fact(10, 3, "no route and no `$default`: the `Forbidden` frame; the connection stays", (FRAMES, GUIDE)),
    Fact(11, 3, "a handler that raises, dies or times out: `Internal server error`; the connection stays", (FRAMES,)),
    unsure("frames.throttled-function", 3, "a throttled function: `Internal server error`"),
    Fact(12, 3, "what a handler returns for a message, 4xx and 5xx included, goes nowhere", (TRANSCRIPT,)),
    Fact(13, 3, "with a route response the client gets the body, and nothing else", (GUIDE, TRANSCRIPT)),
    Fact(
        14,
        3,
        "29 s without an answer: `Endpoint request timed out`; the function goes on",
        ("Kludex/mangum#128", "aws/chalice#1406", QUOTAS),
    ),
    Fact("frames.timeout", 3, "a route's own time-out, from 50 ms on, likewise", (QUOTAS,)),
    Fact("frames.bytes", 3, "the gateway's own frames, to the byte", (FRAMES,)),
    Fact(15, 3, "a binary frame closes with 1003", (GUIDE,)),
    Fact(16, 3, "a frame of more than 32 KB closes with 1009", (QUOTAS,)),
    Fact(17, 3, "a message of more than 128 KB closes with 1009", (QUOTAS,)),
    unsure("frames.throttled-message", 3, "a message over a rate is not handled; a frame says so", "throttled_message"),
    Fact("frames.models", 3, "models validate messages: `Bad request body`", (GUIDE,), "not"),
    Fact("close.none", 4, "a close without a status: 1005, `Client-side close frame status not set`", (EVENTS,)),
    Fact("close.status", 4, "the client's own status and reason reach `$disconnect`", (GUIDE,)),
    Fact(26, 4, "10 minutes without data: 1001, for the client and for `$disconnect`", (QUOTAS,)),
    Fact("close.activity", 4, "data either way starts the 10 minutes again", (QUOTAS,)),
    Fact(27, 4, "2 hours end a connection, however busy it is; that the code is 1001 is assumed", (QUOTAS,)),
    Fact(23, 4, "DELETE: 204, and the client sees 1000", (MODEL, "aws/chalice#2060")),
    Fact(
        24, 4, "`$disconnect` after DELETE: 1000, `Connection Closed Normally`", ("aws/chalice#2060", "boto/boto3#3789")
    ),
    unsure("close.oversize", 4, "`$disconnect` after 1003 and 1009 is told the code"),
    unsure("close.loss", 4, "a lost network: `$disconnect` with 1006, at once", "network_loss"),
    Fact("close.delivery", 4, "`$disconnect` may get lost: here it always comes", (GUIDE,), "approximately"),
    Fact("close.no-pings", 4, "the gateway sends no pings", ("andyrichardson/subscriptionless#3",)),
    unsure("close.ping", 4, "a ping of the client's is no data for the 10 minutes", "ping"),
    Fact(18, 5, "a post of more than 128 KB: 413 `PayloadTooLargeException`", (MODEL, "gchq/sleeper#5755")),
    Fact(19, 5, "a post: 200", (MODEL,)),
    Fact(
        20,
        5,
        "a connection that is closed or never was: 410 `GoneException`, no body",
        (MODEL, "laravel-echo-api-gateway#9"),
    ),
    Fact(
        21,
        5,
        "an id of the wrong form: 400 `BadRequestException`",
        ("dherault/serverless-offline#749", "localstack/localstack#4694"),
    ),
    Fact(22, 5, "GET: connectedAt, identity, lastActiveAt; ISO 8601 with milliseconds", (MODEL,)),
    Fact(25, 5, "a post from the connection's own `$connect`: 410", ("knowledge centre",)),
    unsure("connections.hang", 5, "it is answered at once, and does not hang", "post_in_connect", "aws/chalice#1406"),
    Fact(
        "connections.forbidden",
        5,
        "another stage, or no signature: 403 `ForbiddenException`",
        (MODEL, "aws/aws-sdk-php#1955"),
    ),
    Fact("connections.text", 5, "frames are text; what is not UTF-8 becomes U+FFFD", ("MiniStack, measured", MODEL)),
    unsure("connections.large", 5, "a post of more than 32 KB is one frame", "large_post"),
    Fact("connections.javascript", 5, "the AWS SDK for JavaScript v3 sees the same", (MODEL,)),
    Fact("connections.policy", 5, "IAM policies decide who may call", (GUIDE,), "not"),
    Fact(28, 6, "messages of one connection run concurrently", ("re:Post", "serverlessland")),
    Fact("order.posts", 6, "posts that one sender awaits arrive in their order", ("re:Post",)),
    Fact(30, 6, "over a rate: 429, for handshakes and posts", (NETWORKING, "gchq/sleeper#7494", GUIDE)),
    Fact("quotas.stage", 6, "the throttling settings of a stage and of a route", (GUIDE, NETWORKING)),
    Fact(
        "quotas.account",
        6,
        "an account's bucket over handshakes, messages and posts: 10,000/s, 5,000 at once",
        (GUIDE,),
    ),
    Fact("quotas.connections", 6, "500 new connections a second", (QUOTAS,)),
    Fact("quotas.open", 6, "no limit to how many connections are open", (QUOTAS,)),
    Fact("quotas.url", 6, "a URL of 4,096 characters; that a longer one is 414 is assumed", (QUOTAS,), "approximately"),
    Fact("quotas.authorizer", 6, "an authorizer's result of 8 KB", (QUOTAS,)),
    Fact("quotas.counts", 6, "300 routes, 300 integrations, 10 stages, 10 authorizers", (QUOTAS,), "not"),
    Fact("async.accepted", 6, "an asynchronous invocation is accepted with 202", (LAMBDA,)),
    Fact("async.retries", 6, "and retried twice, after 1 and 2 minutes", (LAMBDA,)),
    Fact("price", 6, "metering: messages by 32 KB, minutes of connection", (GUIDE,), "not"),
]

FACTS: dict[Key, Fact] = {fact.key: fact for fact in _ALL}
COUNTED = frozenset(fact.key for fact in _ALL if fact.counts)

if __name__ == "__main__":
    from tests.emulator.facts_table import write

    write()
