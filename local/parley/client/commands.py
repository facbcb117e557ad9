"""Commands that the user enters."""

from __future__ import annotations

import uuid

from parley.client.actions import Style
from parley.client.screen import Screen
from parley.client.session import Session
from parley.client.texts import NOTHING_TO_STOP

STOP = "/stop"
HELP = """\
/new           start a new chat
/join CHATID   open another chat
/history       show earlier messages
/stop          stop the running reply (also Ctrl-C)
/again         write the last reply again
/quit          quit (also Ctrl-D, or Ctrl-C while no reply is running)"""


async def run_command(session: Session, screen: Screen, line: str) -> bool:
    """Carry out a line. Call this only when no answer is pending. Return False to quit."""
    command, _, argument = line.partition(" ")
    match command:
        case "":
            pass
        case "/quit":
            return False
        case "/help":
            screen.line(HELP, Style.NOTE.value)
        case "/stop":
            screen.line(NOTHING_TO_STOP, Style.NOTE.value)
        case "/join":
            await _join(session, screen, argument.strip())
        case "/history":
            await _history(session, screen)
        case _:
            await _ask(session, command, line)
    return True


async def _ask(session: Session, command: str, line: str) -> None:
    match command:
        case "/new":
            await session.ask("create_chat", {"clientChatId": uuid.uuid4().hex}, "chat_created")
        case "/again":
            await session.ask("regenerate", {}, "assistant_message_start")
        case _:
            await session.ask("message", {"message": line, "clientMessageId": uuid.uuid4().hex}, "user_message")


async def _join(session: Session, screen: Screen, chat_id: str) -> None:
    if chat_id:
        await session.ask("join_chat", {"chatId": chat_id}, "chat_joined")
    else:
        screen.line("Name the chat: /join CHATID", Style.ERROR.value)


async def _history(session: Session, screen: Screen) -> None:
    oldest = session.transcript.oldest
    if oldest is None:
        screen.line("There are no messages yet.", Style.NOTE.value)
    else:
        await session.ask("load_history", {"before": oldest}, "history")
