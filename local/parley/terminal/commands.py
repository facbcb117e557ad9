"""Commands that the user enters."""

from __future__ import annotations

import re

from parley.client.chat import Chat
from parley.terminal import texts
from parley.terminal.actions import Style
from parley.terminal.chats import Chats, ChatsUnavailable
from parley.terminal.screen import Screen
from parley.terminal.session import Session

STOP = "/stop"
HELP = """\
/new [NAME]    start a new chat, with the assistant of this name
/chats         list your chats
/join CHAT     open another chat, by its number in the list or by its id
/history       show earlier messages
/approve       let the tool be called that waits for it (/reject does not)
/stop          stop the running reply (also Ctrl-C)
/again         write the last reply again
/quit          quit (also Ctrl-D, or Ctrl-C while no reply is running)
//TEXT         send /TEXT as a message"""

_COMMAND = re.compile(r"/(?:[^\W\d]|-)*")
"""The first word of a line that is a command. A path is none: it has a second slash, a dot or a digit."""

_TO_THE_MODEL = ("/fail", "/long", "/tool", "/loop")
"""Messages to the emulator's built-in model, which look like commands."""


class Commands:
    """The commands of a session."""

    def __init__(self, session: Session, screen: Screen, chats: Chats) -> None:
        self._session = session
        self._screen = screen
        self._chats = chats
        self._commands = {
            "/new": self._create,
            "/chats": self._list,
            "/join": self._join,
            "/history": self._history,
            "/approve": self._approve,
            "/reject": self._reject,
            STOP: self._stop,
            "/again": self._again,
            "/help": self._help,
        }

    async def run(self, line: str) -> bool:
        """Carry out a line. Call this only when no answer is pending. Return False to quit."""
        word, _, argument = line.partition(" ")
        if word == "/quit":
            return False
        if word in self._commands:
            await self._commands[word](argument.strip())
        elif _COMMAND.fullmatch(word) and word not in _TO_THE_MODEL:
            text = f"Unknown command {word}. `/help` lists the commands. `/{word} …` sends it as a message."
            self._screen.line(text, Style.ERROR.value)
        elif line:
            await self._send(line.removeprefix("/") if line.startswith("//") else line)
        return True

    async def _send(self, message: str) -> None:
        if (await self._session.ready()).calls_to_approve:
            # The chat is busy until then, and a message that is held would keep the user from answering.
            self._screen.line(texts.ANSWER_FIRST, Style.ERROR.value)
            return
        await self._session.send(message)

    async def _create(self, assistant: str) -> None:
        await self._session.create(assistant)

    async def _again(self, _: str) -> None:
        await self._session.ask(Chat.regenerate)

    async def _approve(self, _: str) -> None:
        await self._answer(approved=True)

    async def _reject(self, _: str) -> None:
        await self._answer(approved=False)

    async def _answer(self, *, approved: bool) -> None:
        """Answer for the first call that waits."""
        asking = (await self._session.ready()).calls_to_approve
        if asking:
            await self._session.ask(lambda chat: chat.approve(asking[0], approved))
        else:
            self._screen.line(texts.NOTHING_TO_APPROVE, Style.NOTE.value)

    async def _stop(self, _: str) -> None:
        self._screen.line(texts.NOTHING_TO_STOP, Style.NOTE.value)

    async def _help(self, _: str) -> None:
        self._screen.line(HELP, Style.NOTE.value)

    async def _list(self, _: str) -> None:
        try:
            listed = await self._chats.load()
        except ChatsUnavailable as error:
            self._screen.line(str(error), Style.ERROR.value)
            return
        open_chat = await self._session.ready()
        for number, chat in enumerate(listed, start=1):
            here = " (this one)" if chat.chat_id == open_chat.id else ""
            self._screen.line(f"{number:>3}  {chat.date}  {chat.title}{here}")
        self._screen.line("`/join NUMBER` opens one." if listed else "There are no chats yet.", Style.NOTE.value)

    async def _join(self, named: str) -> None:
        if named:
            await self._session.join(self._chats.id_of(named))
        else:
            self._screen.line("Name the chat: /join CHAT. `/chats` lists them.", Style.ERROR.value)

    async def _history(self, _: str) -> None:
        if (await self._session.ready()).messages:
            await self._session.ask(Chat.load_more)
        else:
            self._screen.line("There are no messages yet.", Style.NOTE.value)
