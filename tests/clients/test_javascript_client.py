"""The tests of the JavaScript client, by Node's own runner: without a server, and with a running emulator."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from parley.dev_tokens import token

from tests.support import npm
from tests.support.adapters import CLIENTS, PACKAGE, run
from tests.support.devices import SECRET, Emulator


@pytest.fixture(scope="module", autouse=True)
def packages():
    npm.install(CLIENTS)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    plan = tmp_path_factory.mktemp("faults") / "plan.json"
    plan.write_text("{}")
    # A model that stands still is waited for until the test has done what it came for.
    patient = {"OPENAI_TOKEN_SECONDS": "800", "OPENAI_FIRST_TOKEN_SECONDS": "800"}
    # One user has all the clients, and opens new connections before the ends of the old ones are known.
    limits = {"MESSAGES_PER_MINUTE": "1000", "CONNECTIONS_PER_USER": "0"}
    emulator = Emulator(PARLEY_FAULTS=str(plan), **limits, **patient)
    yield emulator
    assert emulator.missing() == []
    emulator.stop()


def test_the_client_keeps_to_the_protocol_whatever_happens_to_its_connection():
    assert "# fail 0" in run("scripts/test.mjs", "--test-reporter=tap")


def test_the_client_talks_to_the_emulator(emulator):
    server = {
        "webSocketUrl": emulator.websocket_url,
        "httpUrl": emulator.url,
        "token": token("alice", SECRET),
        "badToken": token("alice", "another secret, which signs no token of the emulator"),
    }
    printed = run("scripts/test.mjs", "emulator", "--test-reporter=tap", PARLEY_TEST_SERVER=json.dumps(server))
    assert "# fail 0" in printed
    assert "# skipped 0" in printed


def test_the_types_of_frames_are_those_of_the_schema():
    run("scripts/frames.mjs", "--check")


def test_the_package_is_built_and_is_small(tmp_path: Path):
    assert "KB gzip" in run("build.mjs", "--out", str(tmp_path))
    entries = json.loads((PACKAGE / "package.json").read_text())["exports"].values()
    for entry in entries:
        for kind in ("types", "default"):
            assert (tmp_path / entry[kind].removeprefix("./dist/")).is_file()
