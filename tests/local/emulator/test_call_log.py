"""Calls of AWS's services in the trace: what they were, and which invocation they began."""

from parley.asgi import Response
from parley.emulator.call_log import ServiceCall
from parley.trace import Trace

SIGNED = (
    b"authorization",
    b"AWS4-HMAC-SHA256 Credential=key-of-chat/20260101/us-east-1/lambda/aws4_request, Signature=x",
)


def recorded(path, answer):
    """The event of a call that the function Chat makes while it handles the event r1."""
    trace, scope = Trace(), {"path": path, "method": "POST", "query_string": b"", "headers": [SIGNED]}
    ServiceCall(scope, b"{}", lambda key: "Chat", lambda key: "r1").record(answer, trace)
    [event] = trace.after(0)
    return event.fields


def test_an_invocation_names_the_one_that_it_began():
    fields = recorded("/2015-03-31/functions/Worker/invocations", Response(202, {"x-amzn-RequestId": "r2"}))
    assert tuple(fields[name] for name in ("operation", "caller", "status", "request_id", "invoked")) == (
        "Invoke",
        "Chat",
        202,
        "r1",
        "r2",
    )


def test_a_refused_one_has_begun_none():
    assert "invoked" not in recorded("/2015-03-31/functions/None/invocations", Response(404, {}))


def test_a_body_that_is_no_json_has_no_parameters():
    for body in (b"{", b"[" * 100_000, b"\xff", b"7"):
        scope = {"path": "/_parley/aws/events", "method": "POST", "query_string": b"", "headers": []}
        call = ServiceCall(scope, body, lambda key: "Chat", lambda key: "r1").requested({})
        assert (call.service, call.parameters) == ("events", {})


def test_other_calls_begin_none():
    assert "invoked" not in recorded("/_parley/dynamodb", Response(200, {"x-amzn-RequestId": "r2"}))
