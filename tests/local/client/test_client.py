"""The terminal client against a small server that speaks the wire protocol."""

import asyncio
import fcntl
import io
import json
import os
import pty
import select
import socket
import subprocess
import sys
import termios
import time
from contextlib import asynccontextmanager, suppress

import pytest
from click.testing import CliRunner
from parley.cli.main import main
from parley.client.session import ClientError, Timing
from parley.client.terminal import chat, run
from rich.console import Console
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

FAST = Timing(greeting=0.05, answer=2, ping_busy=0.05, ping_idle=0.2, silence=0.3, retries=(0.01, 0.01, 0.01))


class Server:
    """One user's chats. Replies `You said: …` in pieces of four; the attributes make it misbehave."""

    def __init__(self):
        self.received = []
        self.connections = 0
        self.messages = []
        self.greets = True
        self.answers_pings = True
        self.refuses = {}
        self.cuts_reply_at = None
        self.pauses_reply_at = None
        self.cost = None
        self.cuts_before_acknowledging = False
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def __call__(self, connection):
        self.connections += 1
        self.connection = connection
        with suppress(ConnectionClosed):
            if self.greets:
                await self.send("connected", message="WebSocket connection established")
            async for raw in connection:
                frame = json.loads(raw)
                self.received.append((frame["type"], frame["data"]))
                await self.take(frame["type"], frame["data"], frame.get("requestId"))

    async def take(self, kind, data, request_id):
        if kind in self.refuses:
            await self.send("error", request_id, message=f"No {kind}", code=self.refuses[kind])
        else:
            await getattr(self, f"on_{kind}")(data, request_id)

    async def send(self, kind, request_id=None, /, **data):
        frame = {"type": kind, "data": data} | ({"requestId": request_id} if request_id else {})
        await self.connection.send(json.dumps(frame))

    def cut(self):
        self.connection.transport.abort()

    def sent(self, kind):
        """Return the data of every frame of this kind that the client has sent."""
        return [data for received, data in self.received if received == kind]

    async def on_ping(self, data, request_id):
        if self.answers_pings:
            await self.send("pong", request_id, serverTime="2026-01-01T00:00:00.000Z")

    async def on_join_chat(self, data, request_id):
        await self.send("authenticated", request_id, userId="alice")
        if "chatId" in data:
            page = {"messages": self.messages, "hasMore": False}
            await self.send("chat_joined", request_id, chatId=data["chatId"], title="Talk", **page)

    async def on_create_chat(self, data, request_id):
        await self.send("chat_created", request_id, chatId="c1", title="New chat")

    async def on_load_history(self, data, request_id):
        page = [stored("u0", "user", "Before")]
        await self.send("history", request_id, chatId="c1", messages=page, hasMore=False)

    async def on_message(self, data, request_id):
        if self.cuts_before_acknowledging:
            self.cuts_before_acknowledging = False
            self.cut()
            return
        user = stored(f"u{len(self.messages)}", "user", data["message"])
        self.messages.append(user)
        client_message_id = data["clientMessageId"]
        await self.send("user_message", request_id, chatId="c1", clientMessageId=client_message_id, **user)
        text = f"You said: {data['message']}"
        self.replying = asyncio.create_task(self.reply(f"r{len(self.messages)}", text))

    async def on_cancel(self, data, request_id):
        if "messageId" in data:
            self.replying.cancel()
            await self.complete(data["messageId"], "You ", "cancelled")

    async def on_regenerate(self, data, request_id):
        replaced = self.messages.pop()
        text = f"Again: {replaced['content']}"
        self.replying = asyncio.create_task(self.reply("anew", text, replaces=replaced["messageId"]))

    async def reply(self, message_id, text, **more):
        await self.goes_on.wait()
        whole = stored(message_id, "assistant", text)
        common = {"messageId": message_id, "attempt": 1}
        await self.send("assistant_message_start", chatId="c1", message="…", offset=0, content="", **common, **more)
        for offset in range(0, len(text), 4):
            if offset == self.pauses_reply_at:
                await asyncio.Future()
            if offset == self.cuts_reply_at:
                self.messages.append(whole)
                self.cut()
                return
            await self.send("assistant_message_token", token=text[offset : offset + 4], offset=offset, **common)
        await self.complete(message_id, text, "stop")

    async def complete(self, message_id, text, reason):
        whole = stored(message_id, "assistant", text)
        self.messages.append(whole)
        end = {"chatId": "c1", "attempt": 1, "length": len(text), "finishReason": reason}
        cost = {"cost": self.cost} if self.cost else {}
        await self.send("assistant_message_complete", **whole, **end, **cost)


def stored(message_id, role, content):
    timestamp = "2026-01-01T00:00:00.000Z"
    return {"messageId": message_id, "role": role, "content": content, "timestamp": timestamp}


@pytest.fixture
def server():
    return Server()


@asynccontextmanager
async def listening(server):
    async with serve(server, "127.0.0.1", 0, ping_interval=None) as running:
        yield f"ws://127.0.0.1:{running.sockets[0].getsockname()[1]}/ws/chat"


class Terminal:
    """The other side of the client's keyboard and console: piped lines, and what was printed."""

    def __init__(self):
        self.keyboard, self._typing = os.pipe()
        self._printed = io.StringIO()
        self.console = Console(file=self._printed, width=80)

    def type(self, *lines):
        os.write(self._typing, "".join(f"{line}\n" for line in lines).encode())

    def close(self):
        os.close(self._typing)

    @property
    def shown(self):
        return self._printed.getvalue()

    async def shows(self, text):
        await until(lambda: text in self.shown)


async def piped(server, *lines, chat_id=None, costs=False):
    """Pipe these lines into the client, and return what it printed."""
    terminal = Terminal()
    terminal.type(*lines)
    terminal.close()
    async with listening(server) as url, asyncio.timeout(10):
        await chat(url, "token", chat_id, terminal.console, keyboard=terminal.keyboard, timing=FAST, costs=costs)
    return terminal.shown


@asynccontextmanager
async def at_a_terminal(server):
    """Run the client beside the test, which types line by line; leave by the end of input."""
    terminal = Terminal()
    async with listening(server) as url, asyncio.timeout(10):
        talking = asyncio.create_task(
            chat(url, "token", None, terminal.console, keyboard=terminal.keyboard, timing=FAST)
        )
        yield terminal
        terminal.close()
        await talking


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
            await chat(url, "token", None, terminal.console, keyboard=terminal.keyboard, timing=FAST)

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

    async def test_what_the_server_sends_cannot_command_the_terminal(self, server):
        assert "\x1b" not in await piped(server, "\x1b]0;owned\x07[bold]")


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

    async def test_other_words_with_a_slash_are_messages(self, server):
        await piped(server, "/fail mid")

        assert [data["message"] for data in server.sent("message")] == ["/fail mid"]

    async def test_again_has_the_last_reply_written_anew(self, server):
        shown = await piped(server, "Hello", "/again", "Bye")

        assert server.sent("regenerate") == [{}]
        assert "You said: Hello\nThe reply is written again.\nAgain: You said: Hello\nYou said: Bye\n" in shown

    async def test_help_names_every_command(self, server):
        shown = await piped(server, "/help")

        assert [line.split()[0] for line in shown.splitlines() if line.startswith("/")] == [
            "/new",
            "/join",
            "/history",
            "/stop",
            "/again",
            "/quit",
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

    async def test_where_nothing_runs_it_says_so_and_asks_the_server_nothing(self, server):
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
    async def test_it_is_shown_after_the_reply_where_it_was_asked_for(self, server):
        server.cost = {"frames": 12, "readUnits": 3.5, "writeUnits": 14.0, "usd": 0.0000212}

        shown = await piped(server, "Hello", costs=True)
        assert "You said: Hello\n12 frames · 3.5 read units · 14 write units · $0.000021\n" in shown

    async def test_it_is_not_shown_otherwise(self, server):
        server.cost = {"frames": 12, "usd": 0.0000212}

        assert "frames" not in await piped(server, "Hello")

    async def test_a_server_that_does_not_tell_gets_no_line(self, server):
        assert (await piped(server, "Hello", costs=True)).endswith("You said: Hello\n")

    @pytest.mark.parametrize(("options", "costs"), [([], False), (["--cost"], True)])
    def test_it_is_an_option_of_the_command(self, monkeypatch, options, costs):
        given = {}
        monkeypatch.setattr("parley.client.terminal.run", lambda *_, **more: given.update(more) or 0)
        assert CliRunner().invoke(main, ["chat", *options]).exit_code == 0
        assert given == {"costs": costs}


class TestOtherDevices:
    async def test_their_messages_and_replies_are_shown(self, server):
        async with at_a_terminal(server) as terminal:
            await terminal.shows("c1")
            await server.send("user_message", chatId="c1", **stored("u9", "user", "From the phone"))
            await server.reply("r9", "For the phone")
            await server.send("chat_updated", chatId="c1", title="Phones")
            await terminal.shows("› From the phone\nFor the phone\nTitle: Phones\n")


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
            "resume": {"messageId": "r1", "offset": 8},
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
            server.refuses = {"join_chat": "internal"}
            server.cut()
            await until(lambda: server.connections == 2)
            server.refuses = {}
            await terminal.shows("Reconnected.")

    async def test_a_server_that_stays_away_ends_the_client(self, server):
        terminal = Terminal()
        async with listening(server) as url:
            talking = asyncio.create_task(
                chat(url, "token", None, terminal.console, keyboard=terminal.keyboard, timing=FAST)
            )
            await terminal.shows("c1")
        with pytest.raises(ClientError, match="make run"):
            await asyncio.wait_for(talking, 5)
        terminal.close()


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
                await chat(url, "token", None, Terminal().console, keyboard=os.pipe()[0], timing=FAST)

    def test_nobody_there_is_one_clear_message_and_exit_code_1(self, capsys):
        code = run(f"ws://127.0.0.1:{free_port()}/ws/chat", "token")

        captured = capsys.readouterr()
        assert code == 1
        assert captured.out == ""
        assert "make run" in captured.err
        assert "Traceback" not in captured.err


class TestLeavingATerminal:
    @pytest.mark.parametrize("key", [b"\x04", b"\x03", b"/quit\n"], ids=["ctrl-d", "ctrl-c", "quit"])
    async def test_it_leaves_at_once_without_a_trace(self, server, key):
        async with a_process(server) as process:
            await process.shows("› ")
            os.write(process.keys, key)

            assert await process.ends(within=3) == 0
            assert "Traceback" not in process.shown
            assert process.modes() == process.modes_before

    async def test_ctrl_c_stops_a_running_reply_and_then_leaves(self, server):
        server.pauses_reply_at = 4
        async with a_process(server) as process:
            await process.shows("› ")
            os.write(process.keys, b"Hello\n")
            await process.shows("You ")
            os.write(process.keys, b"\x03")
            await process.shows("The reply ended early: cancelled.\r\n› ")
            os.write(process.keys, b"\x03")

            assert await process.ends(within=3) == 0
            assert "Traceback" not in process.shown
        assert server.sent("cancel") == [{"messageId": "r1"}]

    async def test_a_second_ctrl_c_leaves_a_reply_that_does_not_stop(self, server):
        server.goes_on.clear()
        async with a_process(server) as process:
            await process.shows("› ")
            os.write(process.keys, b"Hello\n")
            await until(lambda: server.sent("message"))
            os.write(process.keys, b"\x03")
            await process.shows("Stopping the reply. Press Ctrl-C again to quit.\r\n")
            os.write(process.keys, b"\x03")

            assert await process.ends(within=3) == 0
            assert "Traceback" not in process.shown

    async def test_the_prompt_comes_back_after_each_reply(self, server):
        async with a_process(server) as process:
            await process.shows("› ")
            os.write(process.keys, b"Hello\n")
            await process.shows("You said: Hello\r\n› ")
            os.write(process.keys, b"\x04")

            assert await process.ends(within=3) == 0


PROGRAM = "import sys; from parley.client.terminal import run; sys.exit(run(sys.argv[1], 'token'))"


class Process:
    """The client as a process with a terminal of its own, whose keys the test presses."""

    def __init__(self, url):
        self.keys, self._terminal = pty.openpty()
        self.modes_before = self.modes()
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, url],
            stdin=self._terminal,
            stdout=self._terminal,
            stderr=self._terminal,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**os.environ, "TERM": "dumb"},
        )
        self.shown = ""

    def modes(self):
        return termios.tcgetattr(self._terminal)

    async def shows(self, text):
        await until(lambda: text in self._read())

    async def ends(self, within):
        async with asyncio.timeout(within):
            while self._process.poll() is None:
                self._read()
                await asyncio.sleep(0.01)
        self._read()
        return self._process.returncode

    def close(self):
        self._process.kill()
        self._process.wait()
        os.close(self.keys)
        os.close(self._terminal)

    def _read(self):
        while select.select([self.keys], [], [], 0)[0]:
            self.shown += os.read(self.keys, 65536).decode(errors="replace")
        return self.shown


@asynccontextmanager
async def a_process(server):
    async with listening(server) as url:
        process = Process(url)
        try:
            yield process
        finally:
            process.close()


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - nothing to be told by
            await asyncio.sleep(0.01)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]
