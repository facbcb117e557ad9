"""The terminal client's connection: keeping it, losing it, and being refused."""

import asyncio
import random
import time

import pytest
from parley.client.timing import back_off
from parley.terminal.chat import chat, run
from parley.terminal.session import PATIENT, TIMING, ClientError
from websockets.asyncio.server import serve

from tests.support.chat_server import listening
from tests.support.devices import free_port
from tests.support.terminal import FAST, Terminal, at_a_terminal, piped, until
from tests.support.waiting import HANGS


class TestKeepingAlive:
    async def test_it_pings_often_while_a_reply_runs(self, server):
        server.goes_on.clear()
        async with at_a_terminal(server) as terminal:
            terminal.type("Hello")
            await until(lambda: len(server.sent("ping")) >= 3)
            server.goes_on.set()
            await terminal.shows("You said: Hello\n")

        assert server.connections == 1

    async def test_it_pings_now_and_then_while_idle(self, server):
        began = time.monotonic()
        async with at_a_terminal(server):
            await until(lambda: len(server.sent("ping")) >= 2)

        assert time.monotonic() - began >= 2 * FAST.ping_idle

    async def test_a_server_that_falls_silent_is_left_for_a_new_connection(self, server):
        server.answers_pings = False
        async with at_a_terminal(server) as terminal:
            await terminal.shows("Reconnected.")

        assert server.connections >= 2


class TestALoss:
    async def test_in_the_middle_of_a_reply_the_client_comes_back_for_the_rest(self, server):
        server.cuts_reply_at = 8

        shown = await piped(server, "Hello")

        assert server.sent("join_chat")[1] == {
            "token": "token",
            "chatId": "c1",
            "resume": {"messageId": "r1", "offset": 8, "attempt": 1},
        }
        assert "You said\nThe connection was lost. Reconnecting …\n: Hello\n" in shown

    async def test_a_message_that_was_not_acknowledged_is_sent_again_under_its_id(self, server):
        server.cuts_before_acknowledging = True

        shown = await piped(server, "Hello")

        first, second = server.sent("message")
        assert first == second
        assert "You said: Hello" in shown

    async def test_a_passing_refusal_on_the_way_back_is_tried_again(self, server):
        async with at_a_terminal(server) as terminal:
            await terminal.shows("c1")
            server.refuses_once = {"join_chat": "internal"}
            server.cut()
            await terminal.shows("Reconnected.")

        assert server.connections == 3

    async def test_a_server_that_stays_away_ends_the_client(self, server):
        terminal = Terminal()
        async with listening(server) as url:
            talking = asyncio.create_task(chat(url, "token", None, terminal.screen, timing=FAST))
            await terminal.shows("c1")
        with pytest.raises(ClientError, match="make run"):
            await asyncio.wait_for(talking, HANGS)
        terminal.close()


class TestARestart:
    """A server that comes back without its data, as an emulator does whose tables are in memory."""

    async def test_a_chat_that_is_gone_is_followed_by_a_new_one(self, server):
        async with at_a_terminal(server) as terminal:
            await terminal.shows("c1")
            server.refuses_once = {"join_chat": "chat_not_found"}
            server.cut()
            await terminal.shows("here is a new one.\nNew chat · chat c1\nReconnected.\n")
            terminal.type("Hello")
            await terminal.shows("You said: Hello\n")

        first, second = server.sent("create_chat")
        assert first["clientChatId"] != second["clientChatId"]

    async def test_a_message_that_was_not_acknowledged_goes_to_the_new_one(self, server):
        server.cuts_before_acknowledging = True
        async with at_a_terminal(server) as terminal:
            await terminal.shows("c1")
            server.refuses_after_a_cut = {"join_chat": "chat_not_found"}
            terminal.type("Hello")
            await terminal.shows("You said: Hello\n")

        first, second = server.sent("message")
        assert first == second
        assert len(server.sent("create_chat")) == 2

    async def test_a_reply_that_was_running_is_over(self, server):
        server.pauses_reply_at = 4
        async with at_a_terminal(server) as terminal:
            terminal.type("Hello")
            await terminal.shows("You ")
            server.pauses_reply_at = None
            server.refuses_once = {"join_chat": "chat_not_found"}
            server.cut()
            terminal.type("Again")
            await terminal.shows("You said: Again\n")

        assert [data["message"] for data in server.sent("message")] == ["Hello", "Again"]

    def test_a_person_is_waited_for_longer_than_a_script(self):
        assert sum(TIMING.retries) < 60
        assert sum(PATIENT.retries) / 2 > 4 * 60


class TestTheGateway:
    @pytest.mark.parametrize("error", ["Internal server error", "Endpoint request timed out", "Forbidden"])
    async def test_its_errors_are_shown_and_the_message_is_sent_again(self, server, error):
        server.fails = {"message": error}

        shown = await piped(server, "Hello")

        first, second = server.sent("message")
        assert first == second
        assert f"The gateway reports: {error}. See the server's log.\n" in shown
        assert "You said: Hello" in shown

    async def test_an_error_while_joining_again_is_tried_again(self, server):
        async with at_a_terminal(server) as terminal:
            await terminal.shows("c1")
            server.fails = {"join_chat": "Internal server error"}
            server.cut()
            await terminal.shows("Reconnected.")

        assert server.connections == 3

    async def test_an_error_of_the_first_join_ends_the_client_with_its_words(self, server):
        server.fails = {"join_chat": "Forbidden"}
        with pytest.raises(ClientError, match="Forbidden"):
            await piped(server, "Hello")

    async def test_a_question_other_than_a_message_is_not_asked_again(self, server):
        server.fails = {"load_history": "Internal server error"}

        shown = await piped(server, "Hello", "/history", "Bye")

        assert len(server.sent("load_history")) == 1
        assert "You said: Bye" in shown


class TestCloseCodes:
    @pytest.mark.parametrize("code", [1001, 1011, 1012, 1013, 4000])
    async def test_the_client_connects_again(self, server, code):
        server.closes = {"message": code}

        shown = await piped(server, "Hello")

        assert server.connections == 2
        assert "You said: Hello" in shown

    async def test_after_1000_it_does_not(self, server):
        server.closes = {"message": 1000}
        with pytest.raises(ClientError, match="Start `parley chat` again"):
            await piped(server, "Hello")
        assert server.connections == 1

    @pytest.mark.parametrize("code", [1003, 1009])
    async def test_a_message_that_the_gateway_does_not_take_is_not_sent_again(self, server, code):
        server.closes = {"message": code}

        shown = await piped(server, "Hello", "Bye")

        assert [data["message"] for data in server.sent("message")] == ["Hello", "Bye"]
        assert "too large" in shown
        assert "You said: Bye" in shown

    def test_clients_do_not_come_back_all_at_once(self):
        pauses = {back_off(8, random.random()) for _ in range(100)}
        assert len(pauses) > 90
        assert all(4 <= pause <= 8 for pause in pauses)

    async def test_the_pause_before_each_try_is_such_a_back_off(self, server, monkeypatch):
        asked = []
        monkeypatch.setattr("parley.client.link.back_off", lambda seconds, chance: asked.append(seconds) or 0.0)
        async with at_a_terminal(server) as terminal:
            await terminal.shows("c1")
            server.cut()
            await terminal.shows("Reconnected.")

        assert asked == [FAST.retries[0]]


class TestNoEntry:
    @pytest.mark.parametrize(
        ("refuses", "next_step"),
        [
            ({"join_chat": "invalid_token"}, "parley token USER"),
            ({"join_chat": "chat_not_found"}, "Omit the chat"),
            ({"create_chat": "create_failed"}, "log"),
        ],
    )
    async def test_a_refusal_names_its_code_and_the_next_step(self, server, refuses, next_step):
        server.refuses = refuses
        with pytest.raises(ClientError) as raised:
            await piped(server, "Hello")

        assert next_step in str(raised.value)
        assert next(iter(refuses.values())) in str(raised.value)

    async def test_a_refused_handshake_names_its_status(self, server):
        def refuse(connection, request):
            return connection.respond(401, "")

        async with serve(server, "127.0.0.1", 0, process_request=refuse) as running:
            url = f"ws://127.0.0.1:{running.sockets[0].getsockname()[1]}"
            with pytest.raises(ClientError, match="HTTP 401"):
                await chat(url, "token", None, Terminal().screen, timing=FAST)

    def test_nobody_there_is_one_clear_message_and_exit_code_1(self, capsys):
        code = run(f"ws://127.0.0.1:{free_port()}/ws/chat", "token")

        captured = capsys.readouterr()
        assert code == 1
        assert captured.out == ""
        assert "make run" in captured.err
        assert "Traceback" not in captured.err
