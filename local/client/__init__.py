"""`parley chat`: the chat in a terminal."""

from __future__ import annotations

import asyncio
import os
import uuid

from rich.console import Console

from local.client.actions import Style
from local.client.keyboard import lines
from local.client.screen import Screen, clean
from local.client.session import TIMING, ClientError, Session, Timing

__all__ = ["ClientError", "chat", "run"]

HELP = """\
/new           begin a new chat
/join CHATID   go to another chat
/history       show earlier messages
/quit          leave (also Ctrl-D or Ctrl-C)"""


def run(url: str, token: str, chat_id: str | None = None) -> int:
    """Chat in this process's terminal, or with piped lines. Return the exit code: 1 where the server failed us."""
    try:
        asyncio.run(chat(url, token, chat_id, Console()))
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
) -> None:
    """Chat until the end of input or `/quit`. `keyboard` is the descriptor that lines are read from.

    Raise ClientError when the server cannot be reached, refuses, or stays away after the connection was lost.
    """
    screen = Screen(console, interactive=os.isatty(keyboard))
    session = Session(url, token, chat_id, screen, timing)
    tasks = {asyncio.create_task(session.run()), asyncio.create_task(_converse(session, screen, keyboard))}
    try:
        finished, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        screen.leave()
    for task in finished:
        task.result()


async def _converse(session: Session, screen: Screen, keyboard: int) -> None:
    """Do what each line says, one after the other: a line typed during a reply waits for its end."""
    await session.ready()
    screen.ask()
    async for line in lines(keyboard):
        screen.answered()
        await session.ready()
        if not await _obey(session, screen, line.strip()):
            return
        await session.ready()
        screen.ask()


async def _obey(session: Session, screen: Screen, line: str) -> bool:
    """Carry out a line. Return whether to go on."""
    command, _, argument = line.partition(" ")
    match command, argument.strip():
        case "", _:
            pass
        case "/quit", _:
            return False
        case "/help", _:
            screen.line(HELP, Style.NOTE.value)
        case "/new", _:
            await session.ask("create_chat", {"clientChatId": uuid.uuid4().hex}, "chat_created")
        case "/join", chat_id if chat_id:
            await session.ask("join_chat", {"chatId": chat_id}, "chat_joined")
        case "/history", _:
            await _history(session, screen)
        case "/join", _:
            screen.line("Say which chat: /join CHATID", Style.ERROR.value)
        case _:
            await session.ask("message", {"message": line, "clientMessageId": uuid.uuid4().hex}, "user_message")
    return True


async def _history(session: Session, screen: Screen) -> None:
    oldest = session.transcript.oldest
    if oldest is None:
        screen.line("There are no messages yet.", Style.NOTE.value)
    else:
        await session.ask("load_history", {"before": oldest}, "history")
