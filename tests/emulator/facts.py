"""Facts about API Gateway's WebSocket APIs and about Lambda: the text, the sources and the fidelity of each.

A test names the facts that it checks and the source that it relies on,
`@pytest.mark.fact(14, source="aws/chalice#1406")`.
`python -m tests.emulator.facts` writes the tables of docs/emulator/differences.md from these rows and from the tests.
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
TRANSCRIPT = "transcript (docs/aws.md section 2)"
TWO_TRANSCRIPTS = "two transcripts (docs/aws.md section 2)"
FRAMES = "twenty transcripts (docs/aws.md section 3)"
NETWORKING = "ServerlessNetworkingClients#3"
KEYS = "developer guide, condition keys"
LAMBDA = "Lambda developer guide"
UNSURE = "no public source"

SECTIONS = {
    1: "Events",
    2: "Handshake",
    3: "Frames from the gateway itself",
    4: "Close and disconnect",
    5: "@connections",
    6: "Order, quotas, asynchronous invocations",
    7: "The surroundings of a function",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """A behaviour of AWS. `key` is its number in the table of docs/aws.md section 0, or else a name.

    `sure` is False for a behaviour that is not known for certain. `switch` then names the emulator's assumption that
    decides it; some unsure facts have no switch. A fact whose fidelity is `not` has no test.
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
        """Tell whether emulators are compared by this fact."""
        return isinstance(self.key, int) and self.sure


def unsure(key: Key, section: int, text: str, switch: str | None = None, *sources: str) -> Fact:
    return Fact(key, section, text, sources or (UNSURE,), "approximately", switch, sure=False)


_ALL = [
    Fact(29, 1, "events have exactly the fields that AWS sent in 2024", (EVENTS,)),
    Fact(
        "events.headers",
        1,
        "`$connect` has the headers in the client's spelling, but not `Connection`, `Upgrade`, `content-length`",
        (EVENTS,),
    ),
    Fact("events.query", 1, "`$connect` has query parameters only if the URL has a query", (EVENTS,)),
    Fact("events.body", 1, "the body of a message is its raw text, never base64", (EVENTS,)),
    Fact("events.ids", 1, "ids are 15 base64url characters and `=`; `requestId` equals `extendedRequestId`", (EVENTS,)),
    Fact(
        "events.moments",
        1,
        "`connectedAt` is the same in all events of a connection; times are in milliseconds",
        (EVENTS,),
    ),
    Fact("events.identity", 1, "`identity` has `sourceIp`, and `userAgent` only if the client sent one", (EVENTS,)),
    Fact(
        "events.caller",
        1,
        "on connections with `AWS_IAM`, `identity` also has `accountId`, `accessKey`, `caller`, `user` and `userArn`",
        (GUIDE, "events of 2019 and 2020"),
    ),
    Fact("events.models", 1, "events pass the models of powertools' parser", (EVENTS,)),
    Fact(
        "events.authorizer",
        1,
        "the authorizer's context is in all three events, its values as text; without an authorizer it is absent",
        (GUIDE,),
    ),
    Fact(
        "events.request",
        1,
        "the authorizer's event has every map, even an empty one, and `Connection`, `Upgrade`, `content-length`",
        (GUIDE, "powertools fixture of January 2025"),
    ),
    Fact("events.once", 1, "an authorizer is called once for each connection", (GUIDE,)),
    unsure("events.variables", 1, "events have `stageVariables` if the stage has any", "stage_variables"),
    Fact(1, 2, "`$connect` returns 401: the handshake is answered with 401", (TRANSCRIPT,)),
    Fact(
        "handshake.statuses",
        2,
        "`$connect` returns 301, 400, 403, 500, 501 or 502: the handshake is answered with that status",
        (TRANSCRIPT, GUIDE),
    ),
    Fact(2, 2, "`$connect` raises: the handshake is answered with 502", (TWO_TRANSCRIPTS,)),
    Fact(3, 2, "`$connect` returns any 2xx: the connection opens", (TRANSCRIPT,)),
    unsure(
        4,
        2,
        "`$connect` returns null, a text or a number: the handshake is answered with 502",
        "connect_null",
    ),
    unsure("handshake.status", 2, "an answer without a status, such as `{}`, has the status 200", "missing_status"),
    Fact(
        "handshake.malformed",
        2,
        "`$connect` returns an object with other keys than an answer has, or with an object as body: 502",
        ("knowledge centre, malformed answers", "middyjs/middy#1219"),
    ),
    Fact(5, 2, "a subprotocol is chosen only if `$connect` returns the header `Sec-WebSocket-Protocol`", (GUIDE,)),
    Fact(6, 2, "a REQUEST authorizer refuses with 401, 403 or 500", (GUIDE, "serverless/examples#557")),
    Fact("handshake.identity", 2, "the identity source is missing: 401, and the authorizer is not called", (GUIDE,)),
    Fact("handshake.deny", 2, "the authorizer's policy denies: 403", (GUIDE,)),
    Fact(
        "handshake.authorizer-fails",
        2,
        "the authorizer raises, or returns no policy: 500",
        ("serverless/examples#557",),
    ),
    Fact(
        "handshake.conditions",
        2,
        "conditions, `NotAction` and `NotResource` of the authorizer's policy count",
        (KEYS, "aws/aws-lambda-dotnet#2165"),
    ),
    unsure(
        "handshake.principal",
        2,
        "the authorizer's answer has no `principalId`: its policy decides nevertheless",
        "principal_missing",
    ),
    unsure("handshake.text", 2, "the authorizer returns the text `Unauthorized`: 500, not 401", "unauthorized_text"),
    unsure("handshake.added", 2, "headers that the gateway adds are identity sources", "added_headers"),
    Fact("handshake.iam", 2, "the route has `AWS_IAM`, and the handshake is not signed: 403", (GUIDE,)),
    Fact("handshake.no-route", 2, "the API has no `$connect` route: every handshake opens", (GUIDE,)),
    Fact("handshake.waits", 2, "the handshake waits for `$connect`, at most 29 s", (GUIDE,)),
    Fact("handshake.stage", 2, "the stage does not exist: 403", ("aws/aws-sdk-php#1955",)),
    unsure("handshake.plain", 2, "a GET that asks for no upgrade: 426", "plain_request", "RFC 9110, section 15.5.22"),
    unsure("handshake.body", 2, "the body of a refused handshake is empty", "refusal_body"),
    unsure("handshake.headers", 2, "other headers of `$connect`'s answer do not reach the client", "response_headers"),
    unsure("handshake.deflate", 2, "permessage-deflate is not negotiated"),
    Fact(7, 3, "a message that is not JSON, or lacks the key, goes to `$default`", (GUIDE,)),
    Fact("routes.paths", 3, "a selection expression may be any path into the body; the value becomes text", (GUIDE,)),
    Fact(8, 3, "a selection expression may be composite, `${a}/${b}`, or static text", (GUIDE,)),
    unsure(9, 3, "a client's route key that begins with `$` goes to `$default`", "reserved_key"),
    Fact(
        10,
        3,
        "no route matches, and there is no `$default`: the `Forbidden` frame; the connection stays open",
        (FRAMES, GUIDE),
    ),
    Fact(
        11,
        3,
        "the handler raises, dies or times out: the `Internal server error` frame; the connection stays open",
        (FRAMES,),
    ),
    Fact(
        "frames.malformed",
        3,
        "the handler returns an object with other keys than an answer has: the `Internal server error` frame",
        ("middyjs/middy#1219",),
    ),
    unsure("frames.throttled-function", 3, "the function is throttled: the `Internal server error` frame"),
    Fact(12, 3, "the client gets nothing of what a message's handler returns, be it 2xx, 4xx or 5xx", (TRANSCRIPT,)),
    Fact(13, 3, "the route has a route response: the client gets the body, and nothing else", (GUIDE, TRANSCRIPT)),
    Fact(
        14,
        3,
        "no answer within 29 s: the `Endpoint request timed out` frame; the function runs on",
        ("Kludex/mangum#128", "aws/chalice#1406", QUOTAS),
    ),
    Fact("frames.timeout", 3, "no answer within the route's own time-out, 50 ms or more: the same frame", (QUOTAS,)),
    Fact("frames.bytes", 3, "the gateway's own frames equal AWS's, byte for byte", (FRAMES,)),
    Fact(15, 3, "a binary frame closes the connection with 1003", (GUIDE,)),
    Fact(16, 3, "a frame of more than 32 KB closes the connection with 1009", (QUOTAS,)),
    Fact(17, 3, "a message of more than 128 KB closes the connection with 1009", (QUOTAS,)),
    unsure(
        "frames.throttled-message",
        3,
        "a message over a rate limit is not handled, and a frame says so",
        "throttled_message",
    ),
    Fact("frames.models", 3, "models validate messages: `Bad request body`", (GUIDE,), "not"),
    Fact(
        "close.none",
        4,
        "the client closes without a status: `$disconnect` gets 1005, `Client-side close frame status not set`",
        (EVENTS,),
    ),
    Fact("close.status", 4, "the client closes with a status and a reason: `$disconnect` gets both", (GUIDE,)),
    Fact(26, 4, "10 minutes without data: the client and `$disconnect` get 1001", (QUOTAS,)),
    Fact("close.activity", 4, "data in either direction starts the 10 minutes again", (QUOTAS,)),
    Fact(27, 4, "a connection ends after 2 hours, however busy it is; that the code is 1001 is assumed", (QUOTAS,)),
    Fact(23, 4, "DELETE: 204, and the client sees 1000", (MODEL, "aws/chalice#2060")),
    Fact(
        24, 4, "DELETE: `$disconnect` gets 1000, `Connection Closed Normally`", ("aws/chalice#2060", "boto/boto3#3789")
    ),
    unsure("close.oversize", 4, "the gateway closes with 1003 or 1009: `$disconnect` gets the same code"),
    unsure("close.loss", 4, "the client's network is lost: `$disconnect` gets 1006, at once", "network_loss"),
    Fact("close.delivery", 4, "AWS may lose `$disconnect`; the emulator always delivers it", (GUIDE,), "approximately"),
    Fact("close.no-pings", 4, "the gateway sends no pings", ("andyrichardson/subscriptionless#3",)),
    unsure("close.ping", 4, "a client's ping does not count as data for the 10 minutes", "ping"),
    Fact(18, 5, "a post of more than 128 KB: 413 `PayloadTooLargeException`", (MODEL, "gchq/sleeper#5755")),
    Fact(19, 5, "a post that is delivered: 200", (MODEL,)),
    Fact(
        20,
        5,
        "the connection is closed or never existed: 410 `GoneException`, without a body",
        (MODEL, "laravel-echo-api-gateway#9"),
    ),
    Fact(
        21,
        5,
        "the id has the wrong form: 400 `BadRequestException`",
        ("dherault/serverless-offline#749", "localstack/localstack#4694"),
    ),
    Fact(22, 5, "GET: `connectedAt`, `identity` and `lastActiveAt`; times are ISO 8601 with milliseconds", (MODEL,)),
    Fact(25, 5, "a post from the connection's own `$connect`: 410", ("knowledge centre",)),
    unsure(
        "connections.hang",
        5,
        "a post from the connection's own `$connect` is answered at once and does not hang",
        "post_in_connect",
        "aws/chalice#1406",
    ),
    Fact(
        "connections.forbidden",
        5,
        "another stage, or no signature: 403 `ForbiddenException`",
        (MODEL, "aws/aws-sdk-php#1955"),
    ),
    Fact(
        "connections.text", 5, "frames are text; bytes that are not UTF-8 become U+FFFD", ("MiniStack, measured", MODEL)
    ),
    unsure("connections.large", 5, "a post of more than 32 KB arrives as one frame", "large_post"),
    Fact("connections.full", 5, "a post to a client whose buffer is full: 429 `LimitExceededException`", (MODEL,)),
    Fact("connections.javascript", 5, "the AWS SDK for JavaScript v3 gets the same answers", (MODEL,)),
    Fact("connections.policy", 5, "IAM policies decide who may call", (GUIDE,), "not"),
    Fact(28, 6, "messages of one connection run concurrently", ("re:Post", "serverlessland")),
    Fact("order.posts", 6, "a sender that awaits each post has its posts arrive in order", ("re:Post",)),
    Fact(30, 6, "over a rate limit: 429, for handshakes and for posts", (NETWORKING, "gchq/sleeper#7494", GUIDE)),
    Fact("quotas.stage", 6, "a stage and a route have throttling settings of their own", (GUIDE, NETWORKING)),
    Fact(
        "quotas.account",
        6,
        "the handshakes, messages and posts of an account share one bucket: 10,000 a second, 5,000 at once",
        (GUIDE,),
    ),
    Fact("quotas.connections", 6, "an account opens at most 500 connections a second", (QUOTAS,)),
    Fact("quotas.open", 6, "the number of open connections has no limit", (QUOTAS,)),
    Fact(
        "quotas.url",
        6,
        "a URL has at most 4,096 characters; that a longer one is answered with 414 is assumed",
        (QUOTAS,),
        "approximately",
    ),
    Fact("quotas.authorizer", 6, "the result of an authorizer has at most 8 KB", (QUOTAS,)),
    Fact("quotas.counts", 6, "at most 300 routes, 300 integrations, 10 stages and 10 authorizers", (QUOTAS,), "not"),
    Fact("async.accepted", 6, "an asynchronous invocation is accepted with 202", (LAMBDA,)),
    Fact("async.retries", 6, "a failed asynchronous invocation is retried twice, after 1 and 2 minutes", (LAMBDA,)),
    Fact(
        "functions.import",
        7,
        "a library that reads variables while it is imported sees those of its function and Lambda's own",
        (LAMBDA,),
    ),
    Fact(
        "functions.copies",
        7,
        "a library that a function brings is used instead of the runtime's, by all libraries in its process",
        (LAMBDA,),
    ),
    Fact(
        "functions.layers",
        7,
        "modules are searched in the code, then in the layers (the last one wins, `site-packages` first), then outside",
        (LAMBDA,),
    ),
    Fact(
        "functions.opt",
        7,
        "the layers' `bin` is on PATH and `lib` on LD_LIBRARY_PATH; here they lie in another folder than /opt",
        (LAMBDA,),
        "approximately",
    ),
    Fact(
        "functions.variables",
        7,
        "Lambda's own variables are there: AWS_EXECUTION_ENV by the runtime, AWS_LAMBDA_LOG_FORMAT, LAMBDA_RUNTIME_DIR",
        (LAMBDA,),
    ),
    Fact(
        "functions.logging",
        7,
        "LoggingConfig decides the format of a function's log, and in JSON its level",
        (LAMBDA,),
    ),
    Fact(
        "functions.client",
        7,
        "the context of a synchronous invocation has the caller's ClientContext; one that is no JSON object is refused",
        ("aws/aws-sdk#679", "boto/boto3#2153"),
    ),
    Fact(
        "functions.freeze",
        7,
        "between events the function stands still: threads and processes that it started sleep until the next event",
        (LAMBDA,),
    ),
    Fact("price", 6, "metering: messages in units of 32 KB, and minutes of connection", (GUIDE,), "not"),
]

FACTS: dict[Key, Fact] = {fact.key: fact for fact in _ALL}
COUNTED = frozenset(fact.key for fact in _ALL if fact.counts)

if __name__ == "__main__":
    from tests.emulator.facts_table import write

    write()
