"""The record of payloads is bounded, and holds nothing secret."""

import json

import pytest
from parley.emulator.recording import MAX_PAYLOAD_BYTES, Record, record_payloads, secrets_of
from parley.emulator.redaction import REDACTED, Redaction
from parley.template.model import Function, Parameter, Secret, Template
from parley.trace import Trace


def recorded(**bounds):
    trace, record = Trace(), Record(Redaction(), **bounds)
    trace.keep = record.keep
    return trace, record


def payloads(trace, record):
    return {each.number: payload.value() for each in trace.after(0) if (payload := record.of(each.number))}


def test_a_payload_is_kept_with_its_event():
    trace, record = recorded()
    trace.record("start", {"event": b'{"a": 1}'}, function="f")
    trace.record("log", function="f", line="nothing to keep")
    trace.record("end", {"answer": b"no JSON"}, function="f")
    assert payloads(trace, record) == {1: {"a": 1}, 3: "no JSON"}
    assert trace.after(0)[0].fields == {"function": "f"}


def test_without_a_record_nothing_is_kept():
    trace = Trace()
    trace.record("start", {"event": b'{"a": 1}'}, function="f")
    assert trace.after(0)[0].fields == {"function": "f"}


def test_the_oldest_make_room():
    trace, record = recorded(most=3)
    for number in range(5):
        trace.record("start", {"event": str(number).encode()})
    assert payloads(trace, record) == {3: 2, 4: 3, 5: 4}
    assert record.summary()["dropped"] == 2


def test_bytes_are_bounded_too():
    trace, record = recorded(most_bytes=1_000)
    for _ in range(10):
        trace.record("post", {"data": b"x" * 300})
    assert len(payloads(trace, record)) == 3
    assert record.summary()["bytes"] == 900


def test_of_one_that_is_too_large_the_size_is_kept():
    trace, record = recorded()
    secret = json.dumps({"token": "a" * MAX_PAYLOAD_BYTES}).encode()
    trace.record("start", {"event": secret})
    assert record.of(1).cut
    assert str(len(secret)) in record.of(1).text
    assert "aaaa" not in record.of(1).text


def test_it_can_be_forgotten():
    trace, record = recorded()
    trace.record("start", {"event": b"1"})
    record.forget()
    assert payloads(trace, record) == {}
    assert record.summary()["bytes"] == 0


@pytest.mark.parametrize("name", ["JWT_SECRET", "OPENAI_API_KEY"])
def test_secrets_of_the_template_are_known(tmp_path, name):
    variables = {name: "a very secret value", "OTHER": "an open value"}
    functions = {"f": Function("f", "app.handler", tmp_path, 3.0, 128, variables)}
    parameters = (Parameter("/safe", "another secret value", "SecureString"),)
    trace = Trace()
    record = record_payloads(trace, Template(functions, (), (), (), parameters=parameters))
    trace.record("end", {"answer": b'"a very secret value, another secret value, an open value"'})
    assert record.of(1).value() == f"{REDACTED}, {REDACTED}, an open value"


def test_secrets_of_secrets_manager_are_known_with_what_is_in_their_json():
    secrets = (Secret("plain", "a very secret value"), Secret("fields", '{"host": "db", "password": "inside of json"}'))
    assert secrets_of(Template({}, (), (), (), secrets=secrets)) == [
        "a very secret value",
        secrets[1].value,
        "db",
        "inside of json",
    ]


def test_secrets_that_come_later_are_redacted_too():
    trace, record = Trace(), Record(Redaction(["the-first-secret"]))
    trace.keep = record.keep
    record.redact(["the-second-secret"])
    trace.record("start", {"event": b'["the-first-secret", "the-second-secret"]'})
    assert list(payloads(trace, record).values()) == [[REDACTED, REDACTED]]
