"""The chat in a terminal: `parley chat`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress

from rich.console import Console

from parley.client.timing import Timing
from parley.terminal.actions import Style
from parley.terminal.chats import Chats, http_url_of
from parley.terminal.commands import STOP, Commands
from parley.terminal.keyboard import on_signals
from parley.terminal.screen import PlainScreen, Screen, open_screen, sanitize
from parley.terminal.session import PATIENT, TIMING, ClientError, Session


def run(
    url: str,
    token: str,
    chat_id: str | None = None,
    *,
    http_url: str | None = None,
    costs: bool = False,
    assistant: str | None = None,
) -> int:
    """Chat in this process's terminal, or with piped lines. Return the exit code: 1 after an error."""
    screen = open_screen(Console())
    timing = TIMING if isinstance(screen, PlainScreen) else PATIENT
    try:
        asyncio.run(
            chat(url, token, chat_id, screen, timing=timing, http_url=http_url, costs=costs, assistant=assistant)
        )
    except KeyboardInterrupt:
        return 0
    except ClientError as error:
        Console(stderr=True).print(sanitize(str(error)), style=Style.ERROR.value, markup=False, highlight=False)
        return 1
    return 0


async def chat(
    url: str,
    token: str,
    chat_id: str | None,
    screen: Screen,
    *,
    timing: Timing = TIMING,
    http_url: str | None = None,
    costs: bool = False,
    assistant: str | None = None,
) -> None:
    """Chat until the end of input, `/quit`, or a Ctrl-C while no reply is being stopped.

    `http_url` is that of the HTTP API; one on this machine is found by itself. With `costs` the cost of each reply is
    shown after it. `assistant` answers in new chats, None for the server's default one. Raises ClientError if the
    server cannot be reached, refuses, or does not come back after a lost connection.
    """
    session = Session(url, token, chat_id, screen, timing, costs=costs, assistant=assistant)
    commands = Commands(session, screen, Chats(http_url or http_url_of(url), token))
    leaving = asyncio.Event()
    reading = _read_commands(session, screen, commands, leaving.set)
    tasks = {asyncio.create_task(each) for each in (session.run(), reading, leaving.wait())}

    def interrupted() -> None:
        if session.is_stopping or not session.stop():
            leaving.set()
        else:
            screen.line("Stopping the reply. Press Ctrl-C again to quit.", Style.NOTE.value)

    try:
        # SIGHUP: the terminal was closed.
        with on_signals({"SIGINT": interrupted, "SIGTERM": leaving.set, "SIGHUP": leaving.set}):
            try:
                finished, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        with suppress(OSError):  # the terminal was closed
            screen.finish()
    for task in finished:
        task.result()


async def _read_commands(session: Session, screen: Screen, commands: Commands, leave: Callable[[], object]) -> None:
    """Carry out each line, one after the other. A line typed during a reply waits for its end, except `/stop`."""
    await session.ready()
    screen.show_prompt()
    async with aclosing(screen.lines(lambda line: line.strip() == STOP and session.stop(), leave)) as lines:
        async for line in lines:
            await session.ready()
            if not await commands.run(line.strip()):
                return
            await session.ready()
            screen.show_prompt()
