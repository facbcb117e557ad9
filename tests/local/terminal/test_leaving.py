"""Leaving the terminal client by its keys, in a process with a terminal of its own."""

import os
import signal

import pytest
from parley.terminal.session import ClientError

from tests.support.terminal import a_process, piped, until

pytestmark = pytest.mark.full


class TestLeavingATerminal:
    @pytest.mark.parametrize("key", [b"\x04", b"\x03", b"/quit\n"], ids=["ctrl-d", "ctrl-c", "quit"])
    async def test_it_leaves_at_once_without_a_trace(self, server, key):
        async with a_process(server) as process:
            await process.shows("› ")
            os.write(process.keys, key)

            assert await process.ends() == 0
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

            assert await process.ends() == 0
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

            assert await process.ends() == 0
            assert "Traceback" not in process.shown

    async def test_the_prompt_comes_back_after_each_reply(self, server):
        async with a_process(server) as process:
            await process.shows("› ")
            os.write(process.keys, b"Hello\n")
            await process.shows("You said: Hello\r\n› ")
            os.write(process.keys, b"\x04")

            assert await process.ends() == 0


class TestTheCloseCode:
    """1000, by which the server knows that nothing has failed (RFC 6455 section 7.4.1)."""

    @pytest.mark.parametrize("term", ["dumb", "xterm-256color"])
    @pytest.mark.parametrize(
        "leave",
        [
            lambda process: process.press("\x04"),
            lambda process: process.press("\x03"),
            lambda process: process.press("/quit\r"),
            lambda process: process.signal(signal.SIGINT),
            lambda process: process.signal(signal.SIGTERM),
            lambda process: process.signal(signal.SIGHUP),
            lambda process: process.hang_up(),
        ],
        ids=["ctrl-d", "ctrl-c", "quit", "interrupt", "terminate", "hang up", "closed"],
    )
    async def test_it_is_1000_however_a_terminal_is_left(self, server, term, leave):
        async with a_process(server, term=term) as process:
            await process.shows("› ")
            leave(process)

            assert await process.ends() == 0
            await until(lambda: server.close_codes == [1000])

    async def test_it_is_1000_in_the_middle_of_a_reply(self, server):
        server.pauses_reply_at = 4
        async with a_process(server, term="xterm-256color") as process:
            await process.shows("› ")
            process.press("Hello\r")
            await process.displays("› Hello", "You", "›")
            process.press("\x04")

            assert await process.ends() == 0
            await until(lambda: server.close_codes == [1000])

    async def test_it_is_1000_at_the_end_of_piped_lines(self, server):
        await piped(server, "Hello")

        assert server.close_codes == [1000]

    async def test_it_is_1000_after_a_refusal(self, server):
        server.refuses = {"join_chat": "invalid_token"}
        with pytest.raises(ClientError):
            await piped(server, "Hello")

        assert server.close_codes == [1000]
