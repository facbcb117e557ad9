"""The Runtime API on plain sockets: only the environment gets its events, and only the awaited answer counts."""

import asyncio
import os
import socket
import sys
from pathlib import Path

import pytest
from parley.functions import runtime_api
from parley.functions.invocation import Invocation
from parley.functions.runtime_api import RuntimeApi
from parley.template.model import Function

from tests.support.waiting import HANGS

ROOT = "/2018-06-01/runtime"
NEXT = f"{ROOT}/invocation/next"
SHORT = 0.2


class TestRuntimeApi:
    @pytest.fixture
    async def api(self):
        self.polls, self.responses, self.writers = 0, [], []
        api = RuntimeApi(self.on_poll, self.responses.append)
        address, _, self.secret = (await api.open()).partition("/")
        self.host, self.port = address, int(address.rpartition(":")[2])
        yield api
        for writer in self.writers:
            writer.close()
        api.close()

    def on_poll(self):
        self.polls += 1

    async def ask(self, method, path, body=b"", *, secret=None, hosts=None, headers=""):
        """Send a request. Return what its answer is read from."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        hosts = "".join(f"Host: {host}\r\n" for host in ([self.host] if hosts is None else hosts))
        prefix = f"/{self.secret}" if secret is None else secret
        head = f"{method} {prefix}{path} HTTP/1.1\r\n{hosts}{headers}Content-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        return reader

    async def status(self, *arguments, **options):
        return await self.answered(await self.ask(*arguments, **options))

    async def answered(self, reader):
        line = await asyncio.wait_for(reader.readline(), HANGS)
        return int(line.split()[1])

    async def poll(self):
        """Poll, and return what the answer is read from, once the poll has come."""
        before, reader = self.polls, await self.ask("GET", NEXT)
        async with asyncio.timeout(HANGS):
            while self.polls == before:  # noqa: ASYNC110 - the poll comes through the system's own sockets
                await asyncio.sleep(0.001)
        return reader

    def give(self, api, request_id="one"):
        function = Function("F", "app.handler", Path(), 3, 128, {})
        api.give(Invocation(function, b"{}", request_id, "gateway"), "arn")

    async def running(self, api):
        """Let an event run."""
        reader = await self.poll()
        self.give(api)
        assert await self.answered(reader) == 200

    @pytest.mark.parametrize(
        "stranger",
        [
            {"secret": ""},
            {"secret": "/wrong"},
            {"secret": "/"},
            {"hosts": ["rebound.evil.example"]},
            {"hosts": ["localhost"]},
            {"hosts": []},
            {"headers": "Host: rebound.evil.example\r\n"},
            {"headers": "Origin: https://evil.example\r\n"},
            {"headers": "Origin: null\r\n"},
            {"headers": "Sec-Fetch-Site: cross-site\r\n"},
            {"headers": "Sec-Fetch-Site: none\r\n"},
        ],
    )
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", NEXT),
            ("POST", f"{ROOT}/invocation/one/response"),
            ("POST", f"{ROOT}/invocation/one/error"),
            ("POST", f"{ROOT}/init/error"),
        ],
    )
    async def test_a_stranger_is_refused_and_takes_nothing(self, api, stranger, method, path):
        reader = await self.poll()
        assert await self.status(method, path, b"forged", **stranger) == 403
        self.give(api)
        assert await self.answered(reader) == 200
        assert await self.status(method, path, b"forged", **stranger) == 403
        assert (self.polls, self.responses) == (1, [])

    async def test_a_body_of_a_stranger_is_not_read(self, api):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        writer.write(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n")
        assert await self.answered(reader) == 403
        assert await asyncio.wait_for(reader.read(), HANGS)

    async def test_an_event_has_one_poller(self, api):
        reader = await self.poll()
        assert await self.status("GET", NEXT) == 403
        self.give(api)
        assert await self.answered(reader) == 200
        assert self.polls == 1

    async def test_there_is_no_next_event_while_one_runs(self, api):
        await self.running(api)
        assert await self.status("GET", NEXT) == 403
        assert await self.status("POST", f"{ROOT}/invocation/one/response", b"1") == 202
        await self.poll()

    async def test_a_poller_that_is_gone_makes_room_for_another(self, api):
        await self.poll()
        self.writers.pop().close()
        async with asyncio.timeout(HANGS):
            while await self.repolled():
                pass
        self.give(api)
        assert await self.answered(self.second) == 200

    async def repolled(self):
        """Poll again, and return whether the first poller is still taken for the one."""
        before, self.second = self.polls, await self.ask("GET", NEXT)
        while self.polls == before and not self.second._buffer:  # noqa: ASYNC110 - either comes through the system
            await asyncio.sleep(0.001)
        return self.polls == before

    @pytest.mark.parametrize("kind", ["response", "error"])
    async def test_only_the_invocation_that_runs_is_answered_and_only_once(self, api, kind):
        assert await self.status("POST", f"{ROOT}/invocation/one/{kind}", b"early") == 400
        await self.running(api)
        assert await self.status("POST", f"{ROOT}/invocation/anything/{kind}", b"forged") == 400
        assert self.responses == []
        assert await self.status("POST", f"{ROOT}/invocation/one/{kind}", b"right") == 202
        assert await self.status("POST", f"{ROOT}/invocation/one/{kind}", b"late") == 400
        assert [response.payload for response in self.responses] == [b"right"]

    async def test_a_start_fails_before_the_first_event_only(self, api):
        await self.running(api)
        assert await self.status("POST", f"{ROOT}/init/error", b"late") == 403
        assert self.responses == []

    async def test_a_start_that_fails_is_reported(self, api):
        assert await self.status("POST", f"{ROOT}/init/error", b"why") == 202
        assert [response.payload for response in self.responses] == [b"why"]

    async def test_an_unknown_path_is_404(self, api):
        assert await self.status("GET", f"{ROOT}/anything") == 404

    async def test_a_connection_without_a_request_is_dropped_and_a_poller_is_not(self, api, monkeypatch):
        poller = await self.poll()
        monkeypatch.setattr(runtime_api, "HEAD_SECONDS", SHORT)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        writer.write(b"GET /x HTTP/1.1\r\nHost")
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), HANGS)
        self.give(api)
        assert await self.answered(poller) == 200

    async def test_a_head_without_end_is_dropped(self, api):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        writer.write(b"GET /x HTTP/1.1\r\nX: " + b"x" * 5_000_000)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), HANGS)

    @pytest.fixture
    async def without_secret(self):
        """The API for an executable: its address is host and port."""
        self.polls, self.responses, self.writers = 0, [], []
        api = RuntimeApi(self.on_poll, self.responses.append, in_path=False)
        self.host = await api.open()
        self.port = int(self.host.rpartition(":")[2])
        yield api
        for writer in self.writers:
            writer.close()
        api.close()

    async def test_without_a_secret_the_paths_are_those_of_aws(self, without_secret):
        assert await self.status("POST", f"{ROOT}/init/error", b"why", secret="") == 202
        assert [response.payload for response in self.responses] == [b"why"]

    @pytest.mark.parametrize(
        "stranger",
        [
            {"hosts": ["rebound.evil.example"]},
            {"headers": "Origin: https://evil.example\r\n"},
            {"headers": "Sec-Fetch-Site: cross-site\r\n"},
        ],
    )
    async def test_without_a_secret_web_pages_are_refused_all_the_same(self, without_secret, stranger):
        assert await self.status("GET", NEXT, secret="", **stranger) == 403
        assert self.polls == 0

    async def test_without_a_secret_another_user_is_dropped(self, without_secret, monkeypatch):
        monkeypatch.setattr(runtime_api, "owner", lambda peer: os.getuid() + 1)
        reader = await self.ask("GET", NEXT, secret="")
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), HANGS)
        assert self.polls == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_the_kernel_tells_whose_connection_it_is():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert runtime_api.owner(client.getsockname()) == os.getuid()
        gone = client.getsockname()[1]
    assert runtime_api.owner(("127.0.0.2", gone)) is None
