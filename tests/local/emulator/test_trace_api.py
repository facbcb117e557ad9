"""The JSON API: the trace with its filters, invocations with their payloads, and their replay."""

from __future__ import annotations

import asyncio
import json

import jsonschema
import pytest
from parley.emulator.recording import Record
from parley.emulator.redaction import Redaction
from parley.emulator.trace_names import LAST_HEADER, RUN_HEADER

from tests.support.asked_trace import CONNECTION as ALICE
from tests.support.asked_trace import AskedTrace
from tests.support.clock import settle
from tests.support.trace_schema import conforms

BOB = "bobbbbbbbbbbbbb="


@pytest.fixture
def api():
    return AskedTrace(None)


@pytest.fixture
def recording():
    return AskedTrace(Record(Redaction()))


class TestTrace:
    async def test_events_come_with_their_fields_the_oldest_first(self, api):
        api.trace.record("open", connection_id=ALICE)
        api.trace.record("note", text="x")
        at = api.trace.after(0)[0].at
        assert await api.get("trace") == [
            {"number": 1, "at": at, "kind": "open", "connection_id": ALICE},
            {"number": 2, "at": at, "kind": "note", "text": "x"},
        ]
        assert [each["number"] for each in await api.get("trace", after=1)] == [2]
        assert [each["number"] for each in await api.get("trace", limit=1)] == [1]

    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            ({"connection": ALICE}, [1, 2, 3, 4, 5, 6]),
            ({"connection": BOB}, [7, 8, 9]),
            ({"function": "Chat"}, [2, 3, 4, 5, 6, 10]),
            ({"function": "Chat", "connection": ALICE}, [2, 3, 4, 5, 6]),
            ({"error": 1}, [3, 8, 9, 10, 12]),
            ({"kind": "start,end"}, [2, 5, 8]),
            ({"error": 1, "function": "Chat"}, [3, 10]),
            ({"connection": "nobody"}, []),
            ({"text": "r2"}, [8]),
            ({"text": ALICE}, [1, 2, 3, 4, 5, 6]),
            ({"text": "Quer"}, [6]),
        ],
    )
    async def test_a_filter_takes_what_it_names(self, api, asked, found):
        record = api.trace.record
        record("open", connection_id=ALICE)
        record("start", function="Chat", request_id="r1", caller="gateway", cold=True, connection_id=ALICE)
        record("log", function="Chat", request_id="r1", line='{"level":"ERROR","message":"x"}')
        record("post", method="POST", connection_id=ALICE, status=200, bytes=1, function="Chat", request_id="r1")
        record("end", function="Chat", request_id="r1", caller="gateway", cold=True, milliseconds=1.0, error=None)
        record("call", service="dynamodb", operation="Query", caller="Chat", status=200, request_id="r1")
        record("open", connection_id=BOB)
        record("end", function="Other", request_id="r2", caller="gateway", connection_id=BOB, error="Runtime.ExitError")
        record("post", method="POST", connection_id=BOB, status=410, bytes=1)
        record("throttle", function="Chat", request_id="r3", reserved=1)
        record("note", text="x")
        record("refuse", path="/x", status=403, why="x")
        assert [each["number"] for each in await api.get("trace", **asked)] == found

    @pytest.mark.parametrize(
        "query",
        [
            "after=x",
            "after=-1",
            "after=²",
            f"after={'9' * 5000}",
            "limit=x",
            "wait=x",
            "wait=-1",
            "wait=31",
            "wait=nan",
        ],
    )
    async def test_what_cannot_be_is_refused(self, api, query):
        answer = await api.ask("GET", "trace", query)
        assert answer.status == 400
        assert query.split("=")[0] in json.loads(answer.body)["message"]

    async def test_it_waits_for_the_next_event_that_is_asked_for(self, api):
        asking = asyncio.create_task(api.ask("GET", "trace", f"connection={ALICE}&wait=20"))
        await settle()
        api.trace.record("open", connection_id=BOB)
        await settle()
        assert not asking.done()
        api.trace.record("open", connection_id=ALICE)
        answer = await asking
        assert [each["number"] for each in json.loads(answer.body)] == [2]
        assert answer.headers[LAST_HEADER] == "2"

    async def test_it_does_not_wait_longer_than_it_was_told(self, api):
        asking = asyncio.create_task(api.ask("GET", "trace", f"connection={ALICE}&wait=20"))
        await settle()
        api.trace.record("open", connection_id=BOB)
        await api.clock.advance(19)
        assert not asking.done()
        await api.clock.advance(1)
        answer = await asking
        assert (json.loads(answer.body), answer.headers[LAST_HEADER]) == ([], "1")

    async def test_nobody_waits_for_an_emulator_that_ends(self, api):
        asking = asyncio.create_task(api.ask("GET", "trace", "wait=20"))
        await settle()
        api.stop()
        assert json.loads((await asking).body) == []
        assert await api.get("trace", wait=20) == []

    async def test_an_event_of_another_thread_wakes_it(self, api):
        asking = asyncio.create_task(api.ask("GET", "trace", "wait=20"))
        await settle()
        await asyncio.to_thread(api.trace.record, "open", connection_id=ALICE)
        assert len(json.loads((await asking).body)) == 1

    async def test_the_run_is_named(self, api):
        answers = [await api.ask("GET", "trace") for _ in range(2)]
        assert len({each.headers[RUN_HEADER] for each in answers}) == 1


class TestPayloads:
    @pytest.mark.parametrize("text", ["chat-1", "Привет", 'a "quoted" text'])
    async def test_a_text_is_found_in_them(self, recording, text):
        body = json.dumps({"said": text})
        for spelled in (body, json.dumps({"said": text}, ensure_ascii=False)):
            recording.invocation(f"r{len(spelled)}", json.dumps({"body": spelled}).encode(), b"null")
        recording.invocation("other", b'{"body": "{}"}', b"null")
        found = await recording.get("trace", text=text)
        assert [(each["kind"], each["request_id"] != "other") for each in found] == [("start", True)] * 2
        assert all("content" not in each for each in found)

    async def test_their_beginnings_are_in_the_trace_if_they_are_asked_for(self, recording):
        recording.invocation("r1", json.dumps({"body": "b" * 300, "token": "abc"}).encode(), b'{"statusCode": 200}')
        recording.invocation("r2", b'{"n": 1}', b"null")
        found = await recording.get("trace", brief=1)
        assert {(each["request_id"], each["kind"]): each.get("brief") for each in found} == {
            ("r1", "start"): "b" * 200,
            ("r1", "log"): None,
            ("r1", "post"): "hello",
            ("r1", "end"): '{"statusCode": 200}',
            ("r2", "start"): '{"n": 1}',
            ("r2", "log"): None,
            ("r2", "post"): "hello",
            ("r2", "end"): "null",
        }
        assert all("content" not in each for each in found)

    async def test_they_are_in_the_trace_if_they_are_asked_for(self, recording):
        recording.invocation("r1", b'{"token": "abc", "n": 1}', b'{"statusCode": 200}')
        start, end = await recording.get("trace", payloads=1, kind="start,end")
        assert start["content"] == {"event": {"token": "[redacted]", "n": 1}, "redacted": ["token"]}
        assert end["content"] == {"answer": {"statusCode": 200}}
        assert all("content" not in each for each in await recording.get("trace"))

    async def test_the_record_says_how_much_it_holds(self, api, recording):
        assert await api.get("record") == {"recording": False}
        recording.invocation("r1", b"{}", b"null")
        assert (await recording.get("record"))["payloads"] == 3
        assert json.loads((await recording.ask("DELETE", "record")).body)["payloads"] == 0
        assert (await recording.get("trace", payloads=1))[0].get("content") is None

    @pytest.mark.parametrize("name", ["1", "2", "3", "4", "r1-a-request", "r1-a-r"])
    async def test_an_invocation_is_found_by_any_of_its_events(self, recording, name):
        recording.invocation("r1-a-request", b'{"n": 1}', b'"done"')
        recording.invocation("r2-another-one", b'{"n": 2}', b'"done"')
        found = await recording.get(f"invocations/{name}")
        assert found == {
            "id": 1,
            "requestId": "r1-a-request",
            "function": "Chat",
            "caller": "gateway",
            "connectionId": ALICE,
            "at": found["at"],
            "milliseconds": 1.5,
            "cold": False,
            "error": None,
            "ended": True,
            "recorded": True,
            "event": {"n": 1},
            "answer": "done",
            "log": ["a line"],
            "posts": [{"number": 3, "at": found["at"], "connectionId": ALICE, "status": 200, "data": "hello"}],
        }

    async def test_the_start_of_a_request_id_may_be_all_digits(self, recording):
        recording.invocation("95715435-a5cd", b'{"n": 1}', b'"done"')
        recording.invocation("9571543f-a5cd", b'{"n": 2}', b'"done"')
        assert (await recording.get("invocations/95715435"))["requestId"] == "95715435-a5cd"
        assert (await recording.get("invocations/5"))["requestId"] == "9571543f-a5cd"

    async def test_one_that_still_runs_has_no_answer(self, recording):
        recording.trace.record("start", {"event": b"1"}, function="f", request_id="r1", caller="invoke", cold=True)
        found = await recording.get("invocations/1")
        assert (found["ended"], found["error"], "answer" in found) == (False, None, False)

    async def test_each_attempt_of_an_event_is_one(self, recording):
        recording.invocation("r1", b'{"n": 1}', b'"first"')
        recording.invocation("r1", b'{"n": 1}', b'"second"')
        assert (await recording.get("invocations/1"))["answer"] == "first"
        assert (await recording.get("invocations/5"))["answer"] == "second"
        assert (await recording.get("invocations/r1"))["answer"] == "second"

    async def test_without_a_record_it_has_no_payloads(self, api):
        api.invocation("r1", b"{}", b"null")
        found = await api.get("invocations/1")
        assert (found["recorded"], "event" in found, "data" in found["posts"][0]) == (False, False, False)

    @pytest.mark.parametrize("name", ["9", "10", "0", "9" * 5000, "١", "none", "r", "r1", "", "%2F"])
    async def test_one_that_there_is_not_is_told(self, recording, name):
        recording.invocation("r1-one", b"{}", b"null")
        recording.invocation("r1-two", b"{}", b"null")
        recording.trace.record("open", connection_id=ALICE)
        answer = await recording.ask("GET", f"invocations/{name}")
        assert answer.status == 404
        assert "is no invocation in the trace" in json.loads(answer.body)["message"]


class TestTheSchemaOfTheDocs:
    """docs/emulator/json-api.schema.json says what answers are like, and nothing that they are not."""

    @pytest.mark.parametrize("is_recording", [True, False])
    async def test_answers_are_as_it_says(self, api, recording, is_recording):
        asked = recording if is_recording else api
        asked.invocation("r1", b'{"token": "abc"}', b"null")
        asked.invocation("r2", b'"' + b"x" * (1 << 20) + b'"', b"no JSON")
        for event in await asked.get("trace", payloads=1):
            conforms(event, "event")
        for name in ("r1", "r2"):
            conforms(await asked.get(f"invocations/{name}"), "invocation")
        conforms(await asked.get("record"), "record")
        answer = await asked.ask("POST", "invocations/r1/replay", body=b"{}")
        conforms(json.loads(answer.body), "replayed")

    def test_it_is_strict(self):
        for wrong in ({}, {"recording": 1}, {"recording": True, "other": 1}):
            with pytest.raises(jsonschema.ValidationError):
                conforms(wrong, "record")


class TestReplay:
    async def replayed(self, api, name="1", body=b""):
        return await api.ask("POST", f"invocations/{name}/replay", body=body)

    async def test_the_function_gets_the_recorded_event(self, recording):
        recording.invocation("r1", b'{ "n":  1 }', b"null")
        answer = await self.replayed(recording)
        assert recording.invoked == [("Chat", b'{ "n":  1 }', "$LATEST", "replay")]
        assert json.loads(answer.body) == {
            "id": 5,
            "requestId": "replayed",
            "function": "Chat",
            "milliseconds": 1.5,
            "error": None,
            "answer": {"replayed": True},
        }

    async def test_it_gets_an_edited_event(self, recording):
        recording.invocation("r1", b'{"n": 1}', b"null")
        await self.replayed(recording, body=b'{"n": 2}')
        assert recording.invoked[0][1] == b'{"n": 2}'

    async def test_an_edited_event_needs_no_record(self, api):
        api.invocation("r1", b'{"n": 1}', b"null")
        assert (await self.replayed(api)).status == 409
        assert (await self.replayed(api, body=b'{"n": 2}')).status == 200

    async def test_the_qualifier_is_the_same(self, recording):
        fields = {"function": "Chat", "request_id": "r1", "caller": "gateway", "cold": False, "qualifier": "live"}
        recording.trace.record("start", {"event": b"1"}, **fields)
        await self.replayed(recording)
        assert recording.invoked[0][2] == "live"

    @pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000])
    async def test_what_is_no_json_is_not_run(self, recording, body):
        recording.invocation("r1", b"{}", b"null")
        assert (await self.replayed(recording, body=body)).status == 400
        assert recording.invoked == []

    async def test_a_function_that_is_gone_is_told(self, recording):
        recording.invocation("r1", b"{}", b"null")
        recording.unknown = True
        assert (await self.replayed(recording)).status == 404

    async def test_an_event_that_was_too_large_is_not_run(self, recording):
        recording.invocation("r1", b'"' + b"x" * (1 << 20) + b'"', b"null")
        assert (await self.replayed(recording)).status == 409
        assert recording.invoked == []


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "record"), ("DELETE", "invocations/1"), ("GET", "invocations/1/replay"), ("GET", "x")]
)
async def test_there_is_nothing_else(recording, method, path):
    recording.invocation("r1", b"{}", b"null")
    assert await recording.ask(method, path) is None
