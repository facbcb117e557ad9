"""Session of a person in a terminal: one chat at a time, shown as it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from parley.client.chat import Chat
from parley.client.client import ParleyClient
from parley.client.errors import (
    ChatNotFound,
    Closed,
    ParleyError,
    Refused,
    RequestLost,
    TooLarge,
    Unreachable,
)
from parley.client.events import ChatEvent
from parley.client.timing import Runtime, Timing
from parley.terminal.actions import End, Line, Stream, Style
from parley.terminal.screen import Screen
from parley.terminal.view import View

PATIENT = Timing()
"""The intervals for a person, who may stop the server, and start it again some minutes later."""
TIMING = replace(PATIENT, retries=(0.5, 1, 2, 4, 8, 8, 8))

TOO_LARGE = "The gateway refused your message: it is too large. It is not sent again."
CHAT_GONE = "The server does not know this chat any more, so here is a new one."
_CLOSED = (
    "The server closed the connection: too many connections or frames, or the user was disabled. "
    "Start `parley chat` again to go on."
)
_STEPS = {
    "invalid_token": "Make a token with `parley token USER`.",
    "chat_not_found": "Omit the chat to start a new one.",
    "unknown_assistant": "Choose another one with --assistant, or none.",
}


class ClientError(Exception):
    """The client has to stop. The text says what happened, and the next step."""


class Session:
    """One user in one chat at a time. `assistant` answers in new chats, None for any."""

    def __init__(
        self,
        url: str,
        token: str,
        chat_id: str | None,
        screen: Screen,
        timing: Timing = TIMING,
        *,
        costs: bool = False,
        assistant: str | None = None,
    ) -> None:
        self.assistant = assistant
        self.client = ParleyClient(url, token, timing=timing)
        self.chat: Chat | None = None
        self._wanted_chat = chat_id
        self._screen = screen
        self._view = View(costs=costs)
        self._opened = asyncio.Event()
        self._new_id = Runtime().new_id
        self._stop_tasks: set[asyncio.Task[None]] = set()
        self.client.listen(self._show)

    @property
    def is_stopping(self) -> bool:
        """True after the user has asked to stop the reply."""
        return self.chat is not None and self.chat.is_stopping

    async def ready(self) -> Chat:
        """Wait until a chat is open and no answer is pending, and return the chat."""
        while True:
            chat = await self._open_chat()
            try:
                await chat.settled()
            except ParleyError:
                self._lose(chat)  # `run` opens another one, or ends the session
            else:
                return chat

    async def send(self, text: str) -> None:
        """Send a message. If the chat is gone before the server has it, it goes to the new one."""
        mine = self._new_id()
        while True:
            chat = await self._open_chat()
            try:
                await chat.send(text, client_message_id=mine, wait=True)
            except TooLarge:
                self._screen.line(TOO_LARGE, Style.ERROR.value)
            except ParleyError:  # it has been shown
                if chat.state == "closed":
                    self._lose(chat)
                    continue
            return

    async def ask(self, request: Callable[[Chat], Awaitable[object]]) -> None:
        """Ask the server for something else. A refusal has been shown then."""
        chat = await self._open_chat()
        try:
            await request(chat)
        except RequestLost as error:
            if chat.state != "online":
                self._screen.line(str(error), Style.ERROR.value)
        except ParleyError:
            pass

    async def create(self, assistant: str | None) -> None:
        """Go to a new chat, with this assistant or that of the session."""
        await self.ask(lambda chat: self._create(assistant, chat))

    async def join(self, chat_id: str) -> None:
        """Go to another chat."""

        async def move(chat: Chat) -> None:
            self.chat = await self.client.open_chat(chat_id, instead_of=chat)

        await self.ask(move)

    def stop(self) -> bool:
        """Stop the running reply. Return False if none is running."""
        if self.chat is None or not self.chat.is_replying:
            return False
        task = asyncio.create_task(self.chat.cancel())
        self._stop_tasks.add(task)
        task.add_done_callback(self._stop_tasks.discard)
        return True

    async def run(self) -> None:
        """Stay connected until cancelled. Raises ClientError if the server cannot be reached or refuses."""
        async with self.client:
            try:
                if self._wanted_chat:
                    self.chat = await self.client.open_chat(self._wanted_chat)
                else:
                    await self._create(None, None)
                while True:
                    self._opened.set()
                    await self._until_gone()
                    self._screen.line(CHAT_GONE, Style.NOTE.value)
                    await self._create(None, None)
                    self._screen.line("Reconnected.", Style.NOTE.value)
            except ParleyError as error:
                raise ClientError(_explain(error)) from error

    async def _until_gone(self) -> None:
        """Wait until the server does not know the open chat any more. Raises the error that ends the client."""
        while True:
            chat = self.chat
            assert chat is not None  # noqa: S101 - it is opened before
            error = await chat.ended()
            if self.chat is not chat:
                continue  # the user has gone to another one
            if not isinstance(error, ChatNotFound):
                raise error
            self._lose(chat)
            return

    def _lose(self, chat: Chat) -> None:
        if self.chat is chat:
            self._opened.clear()

    async def _open_chat(self) -> Chat:
        await self._opened.wait()
        assert self.chat is not None  # noqa: S101 - that is what the event says
        return self.chat

    async def _create(self, assistant: str | None, instead_of: Chat | None) -> None:
        named = assistant or self.assistant
        self.chat = await self.client.create_chat(assistant=named, instead_of=instead_of)

    def _show(self, event: ChatEvent) -> None:
        for action in self._view.show(event):
            match action:
                case Line(text, style):
                    self._screen.line(text, style.value)
                case Stream(text):
                    self._screen.stream(text)
                case End():
                    self._screen.end()


def _explain(error: ParleyError) -> str:
    match error:
        case Unreachable(status=None):
            return f"{error} If nothing runs there, start it with `make run`."
        case Refused():
            step = _STEPS.get(error.code or "", "See the server's log.")
            return f"The server refused: {error.words} ({error.code or 'error'}). {step}"
        case Closed():
            return _CLOSED
    return str(error)
