"""The terminal client against a small server: messages, replies and their cost."""

import os

import pytest
from click.testing import CliRunner
from parley.cli.main import main
from parley.terminal.chat import chat

from tests.support.chat_server import listening, stored
from tests.support.terminal import FAST, Terminal, at_a_terminal, piped, until


class TestPipedLines:
    async def test_each_line_is_a_message_and_gets_its_reply_before_the_next(self, server):
        shown = await piped(server, "Hello", "Привет 🙂")

        assert shown == "New chat · chat c1\nYou said: Hello\nYou said: Привет 🙂\n"

    async def test_the_client_authenticates_and_creates_a_chat_first(self, server):
        await piped(server, "Hello")

        kinds = [kind for kind, _ in server.received if kind != "ping"]
        assert kinds == ["join_chat", "create_chat", "message"]
        assert server.sent("join_chat") == [{"token": "token"}]

    async def test_a_last_line_without_its_end_counts(self, server):
        terminal = Terminal()
        os.write(terminal._typing, b"Hello")
        terminal.close()
        async with listening(server) as url:
            await chat(url, "token", None, terminal.screen, timing=FAST)

        assert "You said: Hello" in terminal.shown

    async def test_a_server_that_does_not_greet_is_not_waited_for(self, server):
        server.greets = False

        assert "You said: Hello" in await piped(server, "Hello")

    async def test_a_chat_that_is_named_is_joined_and_shown(self, server):
        server.messages = [stored("u1", "user", "Hi"), stored("r1", "assistant", "Good day")]

        shown = await piped(server, "Hello", chat_id="c1")

        assert shown == "Talk · chat c1\n› Hi\nGood day\nYou said: Hello\n"
        assert server.sent("join_chat") == [{"token": "token", "chatId": "c1"}]
        assert server.sent("create_chat") == []

    async def test_a_refused_message_is_shown_with_its_code_and_the_next_line_is_read(self, server):
        server.refuses = {"message": "rate_limited"}

        shown = await piped(server, "Hello", "/help")

        assert "No message (rate_limited)" in shown
        assert "/quit" in shown

    async def test_escape_sequences_of_the_server_do_not_reach_the_terminal(self, server):
        assert "\x1b" not in await piped(server, "\x1b]0;owned\x07[bold]")


class TestABusyChat:
    async def test_a_refused_message_follows_when_the_running_reply_is_complete(self, server):
        server.refuses = {"message": "busy"}
        async with at_a_terminal(server) as terminal:
            terminal.type("Hello")
            await terminal.shows("A reply is running. Your message will be sent when it is complete.\n")
            server.refuses = {}
            await server.reply("r9", "For the phone")
            await terminal.shows("For the phone\nYou said: Hello\n")

        assert len({data["clientMessageId"] for data in server.sent("message")}) == 1

    async def test_it_is_sent_again_where_the_end_of_that_reply_was_missed(self, server):
        server.refuses = {"message": "busy"}
        async with at_a_terminal(server) as terminal:
            terminal.type("Hello")
            await until(lambda: len(server.sent("message")) >= 3)
            server.refuses = {}
            await terminal.shows("You said: Hello\n")

        assert terminal.shown.count("Your message will be sent") == 1

    async def test_asking_for_a_new_reply_then_is_answered_kindly(self, server):
        server.refuses = {"regenerate": "busy"}

        assert "A reply is already running. `/stop` stops it.\n" in await piped(server, "/again")

    async def test_asking_for_a_new_reply_in_an_empty_chat_is_answered_kindly(self, server):
        server.refuses = {"regenerate": "nothing_to_regenerate"}

        assert "There is no reply yet to write again.\n" in await piped(server, "/again")


class TestCost:
    @pytest.fixture(autouse=True)
    def any_server(self, server):
        """One that leaves out what it does not know, as those of other versions may."""
        server.is_current = False

    async def test_it_is_shown_after_the_reply_where_it_was_asked_for(self, server):
        server.cost = {"frames": 12, "readUnits": 3.5, "writeUnits": 14.0, "usd": 0.0000212}

        shown = await piped(server, "Hello", costs=True)
        assert "You said: Hello\n12 frames · 3.5 read units · 14 write units · $0.000021\n" in shown

    async def test_what_the_dollars_leave_out_is_named(self, server):
        known = {"frames": 12, "invocations": 2, "gbSeconds": 6.20451, "usd": 0.0000212}
        for covers, shown in (
            (["frames", "units", "functions", "tokens"], "12 frames · 6.2 GB-seconds · $0.000021\n"),
            (["frames", "units", "functions"], "$0.000021 without the model's tokens\n"),
            (["frames", "units"], "$0.000021 without Lambda and the model's tokens\n"),
        ):
            server.cost = known | {"covers": covers}
            assert shown in await piped(server, "Hello", costs=True)

    async def test_it_is_not_shown_otherwise(self, server):
        server.cost = {"frames": 12, "usd": 0.0000212}

        assert "frames" not in await piped(server, "Hello")

    async def test_a_server_that_does_not_tell_gets_no_line(self, server):
        assert (await piped(server, "Hello", costs=True)).endswith("You said: Hello\n")

    @pytest.mark.parametrize(("options", "costs"), [([], False), (["--cost"], True)])
    def test_it_is_an_option_of_the_command(self, monkeypatch, options, costs):
        given = {}
        monkeypatch.setattr("parley.terminal.chat.run", lambda *_, **more: given.update(more) or 0)
        assert CliRunner().invoke(main, ["chat", *options]).exit_code == 0
        assert given == {"http_url": None, "costs": costs, "assistant": None}


class TestOtherDevices:
    async def test_their_messages_and_replies_are_shown(self, server):
        async with at_a_terminal(server) as terminal:
            await terminal.shows("c1")
            await server.send("user_message", chatId="c1", **stored("u9", "user", "From the phone"))
            await server.reply("r9", "For the phone")
            await server.send("chat_updated", chatId="c1", title="Phones")
            await terminal.shows("› From the phone\nFor the phone\nTitle: Phones\n")
