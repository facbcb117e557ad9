"""The connection of the client: taking over, renewal of tokens, failures."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

import jwt
import pytest
from parley.client import (
    ChatNotFound,
    Closed,
    InvalidToken,
    ParleyClient,
    Refused,
    RequestLost,
    Runtime,
    StateChanged,
    Timing,
    TooLarge,
    Unreachable,
    UnsupportedProtocol,
)

from tests.support.chat_server import GREETING, ChatServer, listening, stored
from tests.support.cut_server import REPLY, CutServer
from tests.support.devices import free_port
from tests.support.terminal import until
from tests.support.waiting import HANGS

FAST = Timing(ping_busy=0.01, retries=(0.0,) * 5)


@pytest.fixture
def server():
    return ChatServer()


def signed(seconds, number=0):
    """Return a token that ends so many seconds after the greeting of the server, by the server's clock."""
    ends = datetime.fromisoformat(GREETING["serverTime"]).timestamp() + seconds
    return jwt.encode({"sub": "ann", "exp": int(ends), "number": number}, "a secret" * 5)


@pytest.fixture
def clock():
    """The seconds of the client's clock, which stands still until a test moves it."""
    return [0.0]


@pytest.fixture
def connected(clock):
    """Connect to a server whose first connection has to hand over after 100 seconds."""

    @asynccontextmanager
    async def connected(server):
        frozen = Runtime(monotonic=lambda: clock[0])
        async with asyncio.timeout(HANGS), server.listening() as url:
            client = ParleyClient(url, "t", timing=FAST, runtime=frozen)
            async with client:
                yield client

    return connected


class TestHandOver:
    async def test_another_connection_takes_over_in_the_middle_of_a_reply(self, clock, connected):
        server = CutServer(lifetimes=(100, 7200))
        states = []
        async with connected(server) as client:
            client.listen(states.append)
            chat = await client.create_chat()
            server.goes_on.clear()
            turn = await chat.send("Hi")
            clock[0] = 200
            await until(lambda: server.close_codes == [1000])
            server.goes_on.set()
            assert (await turn.reply()).text == REPLY

        assert [event.state for event in states if isinstance(event, StateChanged)] == ["online", "closed"]
        assert server.connections == 2

    async def test_requests_go_to_the_new_one(self, clock, connected):
        server = CutServer(lifetimes=(100, 7200))
        async with connected(server) as client:
            chat = await client.create_chat()
            clock[0] = 200
            await until(lambda: server.close_codes == [1000])
            assert (await (await chat.send("Hi")).reply()).text == REPLY

    async def test_one_that_cannot_be_reached_is_tried_again(self, clock, connected):
        server = CutServer(7, before=True, lifetimes=(100, 7200))
        async with connected(server) as client:
            chat = await client.create_chat()
            clock[0] = 200
            await until(lambda: server.was_cut)
            clock[0] = 300
            await until(lambda: 1000 in server.close_codes)
            assert (await (await chat.send("Hi")).reply()).text == REPLY
        assert server.connections == 3


class TestTokens:
    async def test_a_token_that_ends_soon_is_renewed_on_the_same_connection(self, server, clock):
        tokens = [signed(3600, 2), signed(30, 1)]
        first, second = tokens[1], tokens[0]
        quick = replace(FAST, renewal=3600)
        async with asyncio.timeout(HANGS), listening(server) as url:
            # The first one is renewed after half of its time: the clock of the client shows that moment.
            late = Runtime(now=lambda: clock[0])
            async with ParleyClient(url, tokens.pop, timing=quick, runtime=late) as client:
                await client.create_chat()
                clock[0] = 20
                await until(lambda: len(server.sent("join_chat")) == 2)

        assert server.sent("join_chat") == [{"token": first}, {"token": second}]
        assert server.connections == 1

    async def test_one_that_the_server_refuses_is_fetched_anew_once(self, server):
        server.refuses_once = {"join_chat": "invalid_token"}
        tokens = ["second", "first"]
        async with asyncio.timeout(HANGS), listening(server) as url, ParleyClient(url, tokens.pop) as client:
            await client.create_chat()
        assert [data["token"] for data in server.sent("join_chat")] == ["first", "second"]

    async def test_one_that_is_refused_again_is_an_exception(self, server):
        server.refuses = {"join_chat": "invalid_token"}
        async with asyncio.timeout(HANGS), listening(server) as url, ParleyClient(url, lambda: "t") as client:
            with pytest.raises(InvalidToken, match="Get a new token"):
                await client.connect()
        assert len(server.sent("join_chat")) == 2

    async def test_a_frame_that_is_refused_because_of_it_is_sent_again_with_a_new_one(self, server):
        server.refuses_once = {"message": "invalid_token"}
        tokens = ["second", "first"]
        async with asyncio.timeout(HANGS), listening(server) as url, ParleyClient(url, tokens.pop) as client:
            chat = await client.create_chat()
            assert (await (await chat.send("Hi")).reply()).text == "You said: Hi"
        assert [data["token"] for data in server.sent("join_chat")] == ["first", "second"]
        first, second = server.sent("message")
        assert first == second

    async def test_after_the_end_of_a_session_the_client_comes_back_with_a_new_one(self, server):
        server.closes = {"message": 1000}
        tokens = [signed(3600), signed(-1)]
        slow = replace(FAST, ping_busy=60)
        async with (
            asyncio.timeout(HANGS),
            listening(server) as url,
            ParleyClient(url, tokens.pop, timing=slow) as client,
        ):
            chat = await client.create_chat()
            assert (await (await chat.send("Hi")).reply()).text == "You said: Hi"
        assert server.connections == 2

    async def test_without_a_function_it_is_an_exception(self, server):
        server.closes = {"message": 1000}
        async with asyncio.timeout(HANGS), listening(server) as url, ParleyClient(url, signed(-1)) as client:
            chat = await client.create_chat()
            with pytest.raises(InvalidToken, match="expired"):
                await chat.send("Hi")

    async def test_a_function_that_fails_is_told_at_once(self, server):
        def fail():
            raise KeyError("nobody is signed in")

        async with asyncio.timeout(HANGS), listening(server) as url, ParleyClient(url, fail) as client:
            with pytest.raises(Unreachable, match="nobody is signed in"):
                await client.connect()


class TestFailures:
    async def test_nobody_there_is_told_at_once(self):
        async with ParleyClient(f"ws://127.0.0.1:{free_port()}/", "t") as client:
            with pytest.raises(Unreachable, match="Check that a server runs there"):
                await client.connect()

    @pytest.mark.parametrize("version", ["2.0", "10.0", "x"])
    async def test_a_server_of_another_major_version_is_not_talked_to(self, version):
        server = CutServer(protocol=version)
        async with asyncio.timeout(HANGS), server.listening() as url, ParleyClient(url, "t") as client:
            with pytest.raises(UnsupportedProtocol, match=f"protocol {version}"):
                await client.connect()

    async def test_a_server_of_a_later_minor_version_is(self):
        server = CutServer(protocol="1.10")
        async with asyncio.timeout(HANGS), server.listening() as url, ParleyClient(url, "t") as client:
            await client.connect()
            assert client.protocol == "1.10"

    async def test_a_server_that_stays_away_ends_the_turn(self):
        server = CutServer()
        async with asyncio.timeout(HANGS), ParleyClient("", "t", timing=FAST) as client:
            async with server.listening() as url:
                client._url = url
                chat = await client.create_chat()
                server.goes_on.clear()
                turn = await chat.send("Hi")
            with pytest.raises(Unreachable):
                await turn.reply()
            with pytest.raises(Unreachable):
                await chat.send("Again")
            assert chat.state == "closed"

    @pytest.mark.parametrize(("code", "error"), [(1000, Closed), (1009, TooLarge)])
    async def test_a_close_code_that_forbids_to_go_on_is_an_exception(self, server, code, error):
        server.closes = {"message": code}
        async with asyncio.timeout(HANGS), listening(server) as url, ParleyClient(url, "t", timing=FAST) as client:
            chat = await client.create_chat()
            with pytest.raises(error):
                await chat.send("Hi")
        assert len(server.sent("message")) == 1

    async def test_a_refusal_has_its_code_and_its_words(self, server):
        server.refuses = {"message": "rate_limited"}
        async with asyncio.timeout(HANGS), listening(server) as url, ParleyClient(url, "t") as client:
            chat = await client.create_chat()
            with pytest.raises(Refused, match="retry_after") as raised:
                await chat.send("Hi")
            server.refuses = {}
            assert (await (await chat.send("Hi")).reply()).text == "You said: Hi"
        assert (raised.value.code, raised.value.words) == ("rate_limited", "No message")

    async def test_a_chat_that_does_not_exist_is_an_exception_and_the_client_goes_on(self, server):
        server.refuses_once = {"join_chat": "chat_not_found"}
        async with asyncio.timeout(HANGS), listening(server) as url, ParleyClient(url, "t") as client:
            with pytest.raises(ChatNotFound):
                await client.open_chat("c9")
            assert (await client.create_chat()).id == "c1"

    async def test_a_request_that_must_not_come_twice_is_lost_with_the_connection(self, server):
        server.closes = {"regenerate": 1001}
        async with asyncio.timeout(HANGS), listening(server) as url, ParleyClient(url, "t", timing=FAST) as client:
            chat = await client.create_chat()
            await (await chat.send("Hi")).reply()
            with pytest.raises(RequestLost, match="ask again"):
                await chat.regenerate()
        assert len(server.sent("regenerate")) == 1

    @pytest.mark.parametrize("kind", ["create_chat", "load_history"])
    async def test_one_that_may_come_twice_is_asked_again(self, server, kind):
        server.closes = {kind: 1001}
        server.messages = [stored("u9", "user", "Long ago")]
        async with asyncio.timeout(HANGS), listening(server) as url, ParleyClient(url, "t", timing=FAST) as client:
            chat = await client.create_chat()
            await (await chat.send("Hi")).reply()
            assert [message.text for message in await chat.load_more()] == ["Before"]
        first, second = server.sent(kind)
        assert first == second

    async def test_a_listener_that_fails_is_reported_and_the_chat_goes_on(self, server):
        def fail(event):
            raise KeyError("a mistake")

        reported = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context["exception"]))
        async with asyncio.timeout(HANGS), listening(server) as url, ParleyClient(url, "t") as client:
            chat = await client.create_chat()
            stop = chat.listen(fail)
            assert (await (await chat.send("Hi")).reply()).text == "You said: Hi"
            stop()
        assert {repr(error) for error in reported} == {"KeyError('a mistake')"}
