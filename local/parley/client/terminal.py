"""`parley chat`: the chat in a terminal."""

from __future__ import annotations

import asyncio
import os

from rich.console import Console

from parley.client.actions import Style
from parley.client.commands import STOP, obey
from parley.client.keyboard import lines, on_interrupt
from parley.client.screen import Screen, clean
from parley.client.session import TIMING, ClientError, Session, Timing


def run(url: str, token: str, chat_id: str | None = None, *, costs: bool = False) -> int:
    """Chat in this process's terminal, or with piped lines. Return the exit code: 1 where the server failed us."""
    try:
        asyncio.run(chat(url, token, chat_id, Console(), costs=costs))
    except KeyboardInterrupt:
        return 0
    except ClientError as error:
        Console(stderr=True).print(clean(str(error)), style=Style.ERROR.value, markup=False, highlight=False)
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
    """Chat until the end of input, `/quit`, or a Ctrl-C that stops no reply.

    `keyboard` is the descriptor that lines are read from; with `costs`, what a reply has cost is shown after it.
    Raise ClientError when the server cannot be reached, refuses, or stays away after the connection was lost.
    """
    screen = Screen(console, interactive=os.isatty(keyboard))
    session = Session(url, token, chat_id, screen, timing, costs=costs)
    left = asyncio.Event()
    tasks = {asyncio.create_task(each) for each in (session.run(), _converse(session, screen, keyboard), left.wait())}

    def interrupted() -> None:
        if session.transcript.stopping or not session.stop():
            left.set()
        else:
            screen.line("Stopping. Ctrl-C again leaves.", Style.NOTE.value)

    try:
        with on_interrupt(interrupted):
            finished, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        screen.leave()
    for task in finished:
        task.result()


async def _converse(session: Session, screen: Screen, keyboard: int) -> None:
    """Do what each line says, one after the other: a line typed during a reply waits for its end, but for `/stop`."""

    def at_once(line: str) -> bool:
        stops = line.strip() == STOP and session.stop()
        if stops:
            screen.echoed()
        return stops

    await session.ready()
    screen.ask()
    async for line in lines(keyboard, at_once):
        screen.answered()
        await session.ready()
        if not await obey(session, screen, line.strip()):
            return
        await session.ready()
        screen.ask()
