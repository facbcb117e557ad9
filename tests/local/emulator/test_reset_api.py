"""The requests of tests to an emulator: when they exist, and what they refuse."""

import asyncio
import json
from pathlib import Path

import pytest
from parley.cli.main import up
from parley.emulator.application import Emulator
from parley.emulator.options import Address, FunctionOptions, Options, TemplateOptions
from parley.errors import StartError
from parley.faults.plan import POINTS
from parley.template.reader import read
from parley.trace import Trace

from tests.support.ready_emulator import TEMPLATE, ReadyEmulator


@pytest.fixture
def tested(tmp_path):
    return ReadyEmulator(tmp_path, Address(), test_api=True)


@pytest.fixture
def plain(tmp_path):
    return ReadyEmulator(tmp_path, Address())


async def answer(emulator, method, path, body=b"", *headers):
    """Return the status and the content of the answer to a request of this machine."""
    start, sent = await emulator.ask("http", path, (b"host", b"127.0.0.1:8000"), *headers, method=method, body=body)
    return start["status"], json.loads(sent["body"])


@pytest.mark.parametrize("path", ["reset", "clock"])
async def test_without_the_option_there_are_none(plain, path):
    assert (await answer(plain, "POST", f"/_parley/{path}"))[0] == 404


async def test_without_a_plan_nothing_fails_until_one_is_given(plain):
    assert await answer(plain, "GET", "/_parley/faults") == (200, {"seed": 0, "faults": []})
    status, given = await answer(plain, "POST", "/_parley/faults", b'{"faults": [{"point": "post", "do": "410"}]}')
    assert (status, [each["do"] for each in given["faults"]]) == (200, ["410"])
    assert await answer(plain, "GET", "/_parley/faults/points") == (200, {at: list(do) for at, do in POINTS.items()})


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("reset", b"{", "not JSON"),
        ("reset", b"[]", "the key environments"),
        ("reset", b'{"tables": "keep"}', "the key environments"),
        ("reset", b'{"environments": "cold"}', "keep or end"),
        ("clock", b"{}", "a number of seconds"),
        ("clock", b'{"advance": -1}', "a number of seconds"),
        ("clock", b'{"advance": true}', "a number of seconds"),
        ("clock", b'{"advance": "1"}', "a number of seconds"),
        ("clock", b'{"advance": NaN}', "a number of seconds"),
        ("clock", b'{"advance": Infinity}', "a number of seconds"),
        ("clock", b'{"advance": 1e12}', "a number of seconds"),
        ("clock", b'{"back": 1}', "the key advance"),
    ],
)
async def test_a_wrong_one_is_refused(tested, path, body, said):
    status, content = await answer(tested, "POST", f"/_parley/{path}", body)
    assert (status, said in content["message"]) == (400, True)


@pytest.mark.parametrize(("method", "path"), [("GET", "reset"), ("PUT", "clock"), ("GET", "faults/1")])
async def test_other_methods_are_refused(tested, method, path):
    assert (await answer(tested, method, f"/_parley/{path}"))[0] == 405


@pytest.mark.parametrize("path", ["reset", "clock"])
async def test_a_page_of_another_site_may_not_call_them(tested, path):
    status, content = await answer(tested, "POST", f"/_parley/{path}", b"", (b"origin", b"https://evil.example"))
    assert (status, content["message"]) == (403, "Web pages may not call this")


async def test_the_clock_is_read_and_moved(tested):
    _, before = await answer(tested, "GET", "/_parley/clock")
    _, after = await answer(tested, "POST", "/_parley/clock", b'{"advance": 600}')
    assert (before["ahead"], after["ahead"]) == (0, 600)
    assert after["time"] - before["time"] >= 600


async def test_moves_at_once_add_up(tested):
    moves = (answer(tested, "POST", "/_parley/clock", b'{"advance": 600}') for _ in range(5))
    assert sorted(each["ahead"] for _, each in await asyncio.gather(*moves)) == [600, 1200, 1800, 2400, 3000]


async def test_a_fault_is_removed_by_its_id(tested):
    plan = b'{"faults": [{"point": "post", "do": "429"}, {"point": "post", "do": "500"}]}'
    _, added = await answer(tested, "POST", "/_parley/faults", plan)
    first, second = (each["id"] for each in added["faults"])
    status, left = await answer(tested, "DELETE", f"/_parley/faults/{first}")
    assert (status, [each["id"] for each in left["faults"]]) == (200, [second])
    for gone in (first, "x", "²", "9" * 5000, ""):
        assert (await answer(tested, "DELETE", f"/_parley/faults/{gone}"))[0] == 404


async def test_a_fault_of_a_replaced_plan_has_no_id_of_the_new_one(tested):
    plan = b'{"faults": [{"point": "post", "do": "429"}]}'
    _, first = await answer(tested, "PUT", "/_parley/faults", plan)
    _, second = await answer(tested, "PUT", "/_parley/faults", plan)
    assert first["faults"][0]["id"] != second["faults"][0]["id"]


async def test_the_addresses_are_told(plain):
    status, told = await answer(plain, "GET", "/_parley/addresses")
    assert (status, told["url"]) == (200, "http://127.0.0.1:8000")
    assert told["webSockets"] == {"/live": "ws://127.0.0.1:8000/live", "/ws/chat": "ws://127.0.0.1:8000/ws/chat"}
    variables = told["variables"]
    assert variables["PARLEY_WEBSOCKET_URL"] == "ws://127.0.0.1:8000/live"
    assert variables["AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"] == "http://127.0.0.1:8000/live"
    assert variables["AWS_ENDPOINT_URL_DYNAMODB"] == "http://127.0.0.1:8000/_parley/dynamodb"
    assert variables["AWS_ACCESS_KEY_ID"] == "emulator"
    assert "PARLEY_HTTP_URL" not in variables


def test_the_tables_of_somebody_elses_database_are_not_emptied(tmp_path):
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE)
    options = Options(
        TemplateOptions(path),
        Address(),
        FunctionOptions(mode="inline"),
        dynamodb="http://127.0.0.1:1",
        test_api=True,
    )
    with pytest.raises(StartError, match="empties the tables"):
        Emulator(options, read(path), {"XDG_CACHE_HOME": str(tmp_path)}, Trace())


@pytest.mark.parametrize(("options", "kept"), [([], Path(".parley")), (["--test-api"], None), (["--no-data"], None)])
def test_what_tests_do_is_not_kept(monkeypatch, options, kept):
    monkeypatch.delenv("PARLEY_NO_DATA", raising=False)
    values = up.make_context("up", options).params
    assert Options.of_command_line(values).data == kept
