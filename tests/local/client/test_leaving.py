"""Leaving the terminal client by its keys, in a process with a terminal of its own."""

import os

import pytest

from tests.support.terminal import a_process, until


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
