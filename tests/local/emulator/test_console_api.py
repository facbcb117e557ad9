"""The requests of the console: what they answer, and that only this machine and its own page may send them."""

import json

import pytest
from parley.emulator.console_api import ConsoleApi
from parley.emulator.options import Address

from tests.support.ready_emulator import ReadyEmulator
from tests.support.trace_schema import conforms

QUEUE = "Work: {Type: AWS::SQS::Queue, Properties: {QueueName: console-work}}"
PATHS = ("tables", "queues", "cost", "connections")


@pytest.fixture
def emulator(tmp_path):
    return ReadyEmulator(tmp_path, Address(), resources=QUEUE)


async def answer(emulator, method, path, *headers, **scope):
    """Return the status and the content of the answer to a request of this machine."""
    own = (b"host", b"127.0.0.1:8000")
    start, sent = await emulator.ask("http", f"/_parley/{path}", own, *headers, method=method, body=b"", **scope)
    return start["status"], json.loads(sent["body"])


async def test_the_cost_has_its_schema(emulator):
    status, cost = await answer(emulator, "GET", "cost")
    assert status == 200
    conforms(cost, "cost")


async def test_a_connection_that_is_not_open_is_not_closed(emulator):
    status, content = await answer(emulator, "DELETE", "connections/bobbbbbbbbbbbbb=")
    assert (status, content["message"]) == (404, "There is no open connection bobbbbbbbbbbbbb=")


@pytest.mark.parametrize("path", ["tables/None", "queues/None"])
async def test_what_there_is_not_is_said(emulator, path):
    status, content = await answer(emulator, "GET", path)
    assert (status, "None" in content["message"]) == (404, True)


@pytest.mark.parametrize(("method", "path"), [("POST", "tables"), ("DELETE", "queues/x"), ("GET", "cost/x")])
async def test_there_is_nothing_else(emulator, method, path):
    assert (await answer(emulator, method, path))[0] == 404


@pytest.mark.parametrize("path", PATHS)
async def test_a_page_of_another_site_may_not_ask(emulator, path):
    for header in ((b"origin", b"https://evil.example"), (b"sec-fetch-site", b"cross-site")):
        status, content = await answer(emulator, "GET", path, header)
        assert (status, content) == (403, {"message": "Web pages may not call this"})


@pytest.mark.parametrize("path", PATHS)
async def test_another_machine_may_not_ask(emulator, path):
    assert (await answer(emulator, "GET", path, client=("192.0.2.1", 5000)))[0] == 403


@pytest.mark.parametrize("path", PATHS)
async def test_a_name_that_leads_here_may_not_ask(emulator, path):
    start, _ = await emulator.ask("http", f"/_parley/{path}", (b"host", b"evil.example:8000"), method="GET", body=b"")
    assert start["status"] == 403


async def test_tables_elsewhere_are_not_shown():
    refused = await ConsoleApi(None, None, None, None).answer("GET", "/_parley/tables", b"")
    assert (refused.status, b"--dynamodb" in refused.body) == (409, True)
