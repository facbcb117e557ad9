"""A failure of the engine: an error that no SDK repeats, and a line in the log. It is no outage of AWS's."""

import asyncio
import io
import json
import os
import signal
from functools import partial

import pytest
from botocore.exceptions import ClientError
from parley.asgi import Response
from parley.cli.log import Log
from parley.clock import Clock
from parley.dynamodb.dynoxide.engine import Dynoxide
from parley.dynamodb.dynoxide.process import Data
from parley.dynamodb.engine import Database, EngineFailed
from parley.dynamodb.fallback.engine import Moto
from parley.dynamodb.forwarded import Forwarded
from parley.errors import StartError
from parley.trace import Trace

from tests.support import engines
from tests.support.process_tree import threads_stand_still
from tests.support.waiting import until

TARGET = {"content-type": "application/x-amz-json-1.0"}
PUT = {"TableName": "Rows", "Item": {"id": {"S": "a secret text"}}}


def headers(operation):
    return {**TARGET, "x-amz-target": f"DynamoDB_20120810.{operation}"}


async def ask(database, operation, **parameters):
    return await database.answer(headers(operation), json.dumps(parameters).encode())


async def create(database):
    keys = {"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST"}
    attributes = [{"AttributeName": "id", "AttributeType": "S"}]
    return await ask(database, "CreateTable", TableName="Rows", AttributeDefinitions=attributes, **keys)


@pytest.mark.parametrize(
    ("result", "cause"),
    [
        (EngineFailed("it is gone"), "it is gone"),
        (KeyError("a secret"), "KeyError in support/engines.py:"),
        (
            Response(500, {}, b'{"__type": "com.amazonaws#InternalServerError"}'),
            "it answered with 500 InternalServerError",
        ),
        (Response(503, {}, b"<html>"), "it answered with 503"),
    ],
)
async def test_every_engines_failure_is_told_in_the_same_way(result, cause):
    trace = Trace()
    answer = await ask(Database(engines.Failing(result), trace.record), "PutItem", **PUT)

    assert answer.status == 400
    error = json.loads(answer.body)
    assert error["__type"] == "com.amazonaws.dynamodb.v20120810#EngineFailure"
    [event] = trace.after(0)
    told = event.fields.pop("cause")
    assert told.startswith(cause)
    assert "secret" not in told
    assert f"PutItem on Rows: {told}. AWS would not answer so" in error["message"]
    assert (event.kind, event.fields) == ("engine", {"operation": "PutItem", "table": "Rows"})


@pytest.mark.parametrize(
    ("parameters", "table"),
    [
        ({"RequestItems": {"B": [], "A": []}}, "A, B"),
        ({"TransactItems": [{"Put": {"TableName": "B"}}, {"Delete": {"TableName": "A"}}, {"Put": None}]}, "A, B"),
        ({"TableName": ["A"], "RequestItems": 1, "TransactItems": 2}, ""),
        ({}, ""),
        ([], ""),
    ],
)
async def test_the_log_names_the_tables(parameters, table):
    trace = Trace()
    database = Database(engines.Failing(EngineFailed("x")), trace.record)
    await database.answer(headers("Op"), json.dumps(parameters).encode())
    assert trace.after(0)[0].fields["table"] == table


async def test_the_log_has_one_line_for_it():
    trace, out = Trace(), io.StringIO()
    trace.listen(Log(out).write)
    await ask(Database(engines.Failing(EngineFailed("it is gone")), trace.record), "PutItem", **PUT)
    [line] = out.getvalue().splitlines()
    assert line.endswith(" engine   DynamoDB failed at PutItem on Rows: it is gone")


def test_boto3_does_not_repeat_it():
    """moto fails at an update without an expression. boto3 would repeat a 500 nine times."""
    with engines.served(engines.MOTO) as endpoint:
        client = engines.client(endpoint)
        keys = {"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST"}
        attributes = [{"AttributeName": "id", "AttributeType": "S"}]
        client.create_table(TableName="Updated", AttributeDefinitions=attributes, **keys)
        sent = []
        client.meta.events.register("before-send.dynamodb.*", lambda request, **_: sent.append(request) and None)
        with pytest.raises(ClientError, match="EngineFailure"):
            client.update_item(TableName="Updated", Key={"id": {"S": "x"}})
        client.delete_table(TableName="Updated")
    assert [request.headers["X-Amz-Target"] for request in sent[:-1]] == [b"DynamoDB_20120810.UpdateItem"]


async def test_motos_exceptions_are_told_without_their_text():
    trace = Trace()
    moto = Moto(Clock(), "a test")
    database = Database(moto, trace.record)
    answer = await ask(database, "GetItem")

    assert answer.status == 400
    cause = trace.after(0)[0].fields["cause"]
    assert cause.startswith("moto raised KeyError in ")
    assert "'" not in cause
    await moto.stop()


async def test_an_engine_that_does_not_start_leaves_it_to_the_fallback(tmp_path):
    program = tmp_path / "engine"
    program.write_text("#!/bin/sh\necho no room; exit 3")
    program.chmod(0o700)
    trace = Trace()
    engine = Dynoxide(program, trace.record, Clock().within)
    database = Database(engine, trace.record, partial(Moto, Clock()))

    await database.start()

    assert database.description == (
        "embedded: moto, which takes much that AWS refuses (Dynoxide, the DynamoDB engine, did not start: "
        "it ended with status 3. It printed: no room)"
    )
    assert (await ask(database, "ListTables")).status == 200
    await database.stop()


async def test_an_engine_without_a_fallback_must_start():
    database = Database(engines.Failing(StartError("no room")), Trace().record)
    with pytest.raises(StartError, match="no room"):
        await database.start()


async def test_at_the_end_of_the_emulator_the_log_is_quiet():
    trace = Trace()
    database = Database(engines.Failing(EngineFailed("it has ended")), trace.record)
    await database.stop()
    assert (await ask(database, "PutItem", **PUT)).status == 400
    assert trace.after(0) == []


async def test_nobody_at_the_url_of_another_dynamodb():
    trace = Trace()
    answer = await ask(Database(Forwarded("http://127.0.0.1:1"), trace.record), "PutItem", **PUT)
    assert json.loads(answer.body)["__type"].endswith("#EngineFailure")
    assert "no answer from http://127.0.0.1:1" in trace.after(0)[0].fields["cause"]


class TestTheProcessDies:
    @pytest.fixture
    async def running(self, request, tmp_path):
        trace = Trace()
        folder = getattr(request, "param", tmp_path / "data")
        if folder:
            folder.mkdir()
        engine = Dynoxide(engines.binary(), trace.record, Clock().within, lambda: Data(folder) if folder else None)
        database = Database(engine, trace.record)
        await database.start()
        await create(database)
        await ask(database, "PutItem", **PUT)
        yield engine, database, trace
        await database.stop()

    async def test_the_next_request_finds_what_was_written(self, running):
        engine, database, trace = running
        died = engine._run.process
        os.kill(died.pid, signal.SIGKILL)
        await died.ended.wait()

        answer = await ask(database, "GetItem", TableName="Rows", Key=PUT["Item"])

        assert json.loads(answer.body) == {"Item": PUT["Item"]}
        [note] = trace.after(0)
        assert note.fields["text"] == "Dynoxide runs again, on the same data: it was ended by SIGKILL."

    async def test_a_request_on_its_way_fails_with_the_cause(self, running, monkeypatch):
        engine, database, trace = running
        died, client, is_on_its_way = engine._run.process, engine._run.client, asyncio.Event()

        async def post(headers, body, post=client.post):
            is_on_its_way.set()
            return await post(headers, body)

        monkeypatch.setattr(client, "post", post)
        os.kill(died.pid, signal.SIGSTOP)  # it takes requests, and answers none
        await asyncio.to_thread(until, lambda: threads_stand_still(died.pid))
        asking = asyncio.create_task(ask(database, "GetItem", TableName="Rows", Key=PUT["Item"]))
        await is_on_its_way.wait()
        os.kill(died.pid, signal.SIGKILL)

        answer = await asking
        assert json.loads(answer.body)["__type"].endswith("#EngineFailure")
        failed = [event.fields for event in trace.after(0) if event.kind == "engine"]
        assert failed == [{"operation": "GetItem", "table": "Rows", "cause": "it was ended by SIGKILL"}]
        again = await ask(database, "GetItem", TableName="Rows", Key=PUT["Item"])
        assert json.loads(again.body) == {"Item": PUT["Item"]}

    @pytest.mark.parametrize("running", [None], indirect=True)
    async def test_without_a_folder_its_data_are_gone(self, running):
        engine, database, trace = running
        died = engine._run.process
        os.kill(died.pid, signal.SIGKILL)
        await died.ended.wait()

        for _ in range(2):
            await ask(database, "GetItem", TableName="Rows", Key=PUT["Item"])

        gone = "it was ended by SIGKILL, and its tables with it; start the emulator again"
        assert [event.fields["cause"] for event in trace.after(0)] == [gone, gone]

    async def test_after_its_stop_it_is_not_started_again(self, running):
        _, database, _ = running
        await database.stop()
        answer = await ask(database, "GetItem", TableName="Rows", Key=PUT["Item"])
        assert "the emulator ends" in json.loads(answer.body)["message"]
