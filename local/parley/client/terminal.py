"""The chat in a terminal: `parley chat`."""

from __future__ import annotations

import asyncio
import os

from rich.console import Console

from parley.client.actions import Style
from parley.client.commands import STOP, run_command
from parley.client.keyboard import on_interrupt, read_lines
from parley.client.screen import Screen, sanitize
from parley.client.session import TIMING, ClientError, Session, Timing


def run(url: str, token: str, chat_id: str | None = None, *, costs: bool = False) -> int:
    """Chat in this process's terminal, or with piped lines. Return the exit code: 1 after an error."""
    try:
        asyncio.run(chat(url, token, chat_id, Console(), costs=costs))
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
    console: Console,
    *,
    keyboard: int = 0,
    timing: Timing = TIMING,
    costs: bool = False,
) -> None:
    """Chat until the end of input, `/quit`, or a Ctrl-C while no reply is being stopped.

    `keyboard` is the descriptor that lines are read from. With `costs` the cost of each reply is shown after it. Raises
    ClientError if the server cannot be reached, refuses, or does not come back after a lost connection.
    """
    screen = Screen(console, interactive=os.isatty(keyboard))
    session = Session(url, token, chat_id, screen, timing, costs=costs)
    leaving = asyncio.Event()
    tasks = {
        asyncio.create_task(each) for each in (session.run(), _read_commands(session, screen, keyboard), leaving.wait())
    }

    def interrupted() -> None:
        if session.transcript.stopping or not session.stop():
            leaving.set()
        else:
            screen.line("Stopping the reply. Press Ctrl-C again to quit.", Style.NOTE.value)

    try:
        with on_interrupt(interrupted):
            finished, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        screen.finish()
    for task in finished:
        task.result()


async def _read_commands(session: Session, screen: Screen, keyboard: int) -> None:
    """Carry out each line, one after the other. A line typed during a reply waits for its end, except `/stop`."""

    def intercept(line: str) -> bool:
        stops = line.strip() == STOP and session.stop()
        if stops:
            screen.line_echoed()
        return stops

    await session.ready()
    screen.show_prompt()
    async for line in read_lines(keyboard, intercept):
        screen.line_entered()
        await session.ready()
        if not await run_command(session, screen, line.strip()):
            return
        await session.ready()
        screen.show_prompt()
