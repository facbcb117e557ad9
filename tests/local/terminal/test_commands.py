"""The commands of the terminal client."""

import pytest

from tests.support.chat_server import stored
from tests.support.terminal import at_a_terminal, piped, until


class TestCommands:
    async def test_new_creates_another_chat(self, server):
        await piped(server, "/new")

        first, second = server.sent("create_chat")
        assert first["clientChatId"] != second["clientChatId"]

    async def test_join_goes_to_another_chat(self, server):
        shown = await piped(server, "/join c2")

        assert {"chatId": "c2"} in server.sent("join_chat")
        assert "Talk · chat c2" in shown

    async def test_history_shows_what_came_before(self, server):
        server.messages = [stored("u1", "user", "Hi")]

        shown = await piped(server, "/history", chat_id="c1")

        assert server.sent("load_history") == [{"before": "u1"}]
        assert "› Before" in shown

    async def test_history_of_an_empty_chat_asks_for_nothing(self, server):
        assert "There are no messages yet." in await piped(server, "/history")
        assert server.sent("load_history") == []

    async def test_quit_leaves_at_once(self, server):
        await piped(server, "/quit", "Hello")

        assert server.sent("message") == []

    @pytest.mark.parametrize("line", ["/nonsense", "/nonsense with words", "/", "/HELP", "/справка", "/new-chat"])
    async def test_another_one_is_unknown_and_not_sent(self, server, line):
        shown = await piped(server, line)

        assert f"Unknown command {line.split()[0]}. `/help` lists the commands." in shown
        assert server.sent("message") == []

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("/fail mid", "/fail mid"),
            ("/long 500", "/long 500"),
            ('/tool weather {"city": "Oslo"}', '/tool weather {"city": "Oslo"}'),
            ("/loop weather {}", "/loop weather {}"),
            ("//nonsense with words", "/nonsense with words"),
            ("//", "/"),
            ("/etc/hosts is a file", "/etc/hosts is a file"),
            ("/v1 is a path", "/v1 is a path"),
            ("What is /nonsense?", "What is /nonsense?"),
        ],
    )
    async def test_what_only_begins_with_a_slash_is_a_message(self, server, line, message):
        await piped(server, line)

        assert [data["message"] for data in server.sent("message")] == [message]

    async def test_again_has_the_last_reply_written_anew(self, server):
        shown = await piped(server, "Hello", "/again", "Bye")

        assert server.sent("regenerate") == [{}]
        assert "You said: Hello\nThe reply is written again.\nAgain: You said: Hello\nYou said: Bye\n" in shown

    async def test_help_names_every_command(self, server):
        shown = await piped(server, "/help")

        assert [line.split()[0] for line in shown.splitlines() if line.startswith("/")] == [
            "/new",
            "/chats",
            "/join",
            "/history",
            "/approve",
            "/stop",
            "/again",
            "/quit",
            "//TEXT",
        ]


class TestStopping:
    async def test_stop_ends_the_running_reply_by_its_id(self, server):
        server.pauses_reply_at = 4
        async with at_a_terminal(server) as terminal:
            terminal.type("Hello")
            await terminal.shows("You ")
            terminal.type("/stop")
            await terminal.shows("The reply ended early: cancelled.")

        assert server.sent("cancel") == [{"messageId": "r1"}]

    async def test_lines_typed_before_it_are_not_overtaken_by_anything_else(self, server):
        server.pauses_reply_at = 4
        async with at_a_terminal(server) as terminal:
            terminal.type("Hello")
            await terminal.shows("You ")
            server.pauses_reply_at = None
            terminal.type("Next", "/stop")
            await terminal.shows("You said: Next\n")

        assert [data["message"] for data in server.sent("message")] == ["Hello", "Next"]

    async def test_without_a_running_reply_it_says_so_and_sends_nothing(self, server):
        assert "No reply is running.\n" in await piped(server, "/stop")
        assert server.sent("cancel") == []

    async def test_a_reply_that_has_just_ended_is_no_failure(self, server):
        server.refuses = {"cancel": "nothing_to_cancel"}
        server.goes_on.clear()
        async with at_a_terminal(server) as terminal:
            terminal.type("Hello")
            await until(lambda: server.sent("message"))
            terminal.type("/stop")
            await until(lambda: server.sent("cancel"))
            server.goes_on.set()
            await terminal.shows("No reply is running.\nYou said: Hello\n")

    async def test_it_is_asked_for_again_after_a_loss(self, server):
        server.pauses_reply_at = 4
        async with at_a_terminal(server) as terminal:
            terminal.type("Hello")
            await terminal.shows("You ")
            server.cut()
            await terminal.shows("The connection was lost")
            terminal.type("/stop")
            await until(lambda: server.sent("cancel") == [{"messageId": "r1"}])
            await terminal.shows("The reply ended early: cancelled.")


class TestApproval:
    async def test_the_calls_that_wait_are_answered_one_after_the_other(self, server):
        server.asks = ("one", "two")

        shown = await piped(server, "Hi", "/approve", "/reject")

        assert server.sent("approve") == [{"callId": "one", "approved": True}, {"callId": "two", "approved": False}]
        assert shown.count("Tool pay waits for your approval, `/approve` or `/reject`: {}") == 2
        assert "You said: Hi" in shown

    async def test_a_message_has_to_wait_until_the_user_has_answered(self, server):
        server.asks = ("one",)

        shown = await piped(server, "Hi", "And more", "/approve")

        assert "A tool waits for your approval: `/approve`, `/reject`, or `/stop` ends the reply." in shown
        assert [data["message"] for data in server.sent("message")] == ["Hi"]

    @pytest.mark.parametrize("line", ["/approve", "/reject"])
    async def test_there_may_be_nothing_to_answer(self, server, line):
        assert "No tool waits for your approval." in await piped(server, line)
        assert server.sent("approve") == []

    async def test_an_answer_that_came_too_late_is_said(self, server):
        server.asks = ("one",)
        server.refuses_once = {"approve": "nothing_to_approve"}

        shown = await piped(server, "Hi", "/approve", "/approve")

        assert "No tool waits for your approval." in shown
