"""The client: the user's connections and open chats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from parley.client.chat import Chat, Listener, tell
from parley.client.errors import ParleyError
from parley.client.events import Authenticated, ChatEvent, Greeted
from parley.client.frames import ListedAssistant
from parley.client.link import Link
from parley.client.timing import RUNTIME, TIMING, Runtime, Timing
from parley.client.tokens import Tokens, TokenSource


class ParleyClient:
    """A client of one user.

    ```python
    async with ParleyClient("ws://localhost:8000/ws/chat", token) as client:
        chat = await client.create_chat()
        turn = await chat.send("hi")
        print((await turn.reply()).text)
    ```

    `token` is a token, or a function that fetches one; it is called again before the token expires. Each open chat has
    a connection of its own, which comes back by itself after a loss. Methods that connect raise `Unreachable` or
    `InvalidToken` if that fails; a first failure is not tried again.
    """

    def __init__(self, url: str, token: TokenSource, *, timing: Timing = TIMING, runtime: Runtime = RUNTIME) -> None:
        self.user_id: str | None = None
        self.protocol: str | None = None
        """Version of the server's protocol, `MAJOR.MINOR`. None before the first connection."""
        self.assistants: tuple[ListedAssistant, ...] = ()
        self.limits: Mapping[str, Any] = {}
        self._url = url
        self._tokens = Tokens(token)
        self._timing = timing
        self._runtime = runtime
        self._spare: list[Link] = []
        self._chats: dict[Link, Chat] = {}
        self._listeners: list[Listener] = []
        self._notices: set[str] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def connect(self) -> None:
        """Connect now, and authenticate. Without this the first chat does it."""
        if not self._spare:
            self._spare.append(await self._open(None))

    async def create_chat(
        self,
        *,
        title: str | None = None,
        assistant: str | None = None,
        client_chat_id: str | None = None,
        instead_of: Chat | None = None,
    ) -> Chat:
        """Create a chat and open it. The same `client_chat_id` gives the same chat again.

        The new chat takes over the connection of the chat `instead_of`, which is closed here if the server accepts.
        """
        named = {"title": title, "assistant": assistant}
        data = {"clientChatId": client_chat_id or self._runtime.new_id()}
        data |= {name: value for name, value in named.items() if value is not None}
        link = await self._link(instead_of)
        return await self._ask(link, instead_of, "create_chat", data, "chat_created")

    async def open_chat(self, chat_id: str, *, instead_of: Chat | None = None) -> Chat:
        """Open a chat of the user. Raises `ChatNotFound`. `instead_of`: see `create_chat`."""
        if instead_of is None and not self._spare:
            link = await self._open(chat_id)
            return self._add(link)
        link = await self._link(instead_of)
        return await self._ask(link, instead_of, "join_chat", {"chatId": chat_id}, "chat_joined")

    async def close_chat(self, chat: Chat) -> None:
        """Close a chat here. Its connection is kept for the next one."""
        link = self._link_of(chat)
        self._leave(chat)
        if link.state != "online":
            await link.close()
            return
        try:
            await link.leave()
        except ParleyError:
            await link.close()
        else:
            self._spare.append(link)

    async def close(self) -> None:
        """Close all connections."""
        for link in [*self._spare, *self._chats]:
            await link.close()
        self._spare.clear()
        self._chats.clear()

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call a function with each event of all connections, in order. Return the function that ends this."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def _open(self, wanted: str | None) -> Link:
        link = Link(
            self._url,
            self._tokens,
            lambda events: self._take(link, events),
            wanted=wanted,
            notices=self._notices,
            timing=self._timing,
            runtime=self._runtime,
        )
        try:
            await link.start()
        except BaseException:
            await link.close()
            raise
        return link

    async def _link(self, instead_of: Chat | None) -> Link:
        """Return the connection for the next chat."""
        if instead_of is not None:
            return self._link_of(instead_of)
        while self._spare:
            link = self._spare.pop()
            if link.error is None:
                return link
        return await self._open(None)

    async def _ask(self, link: Link, instead_of: Chat | None, kind: str, data: dict[str, str], answer: str) -> Chat:
        try:
            await link.ask(kind, data, answer)
        except BaseException:
            if instead_of is None:
                self._spare.append(link)
            raise
        if instead_of is not None:
            self._leave(instead_of)
        return self._add(link)

    def _add(self, link: Link) -> Chat:
        chat = self._chats[link] = Chat(link, self._runtime.new_id)
        return chat

    def _leave(self, chat: Chat) -> None:
        del self._chats[self._link_of(chat)]
        chat.leave()

    def _link_of(self, chat: Chat) -> Link:
        return next(link for link, open_chat in self._chats.items() if open_chat is chat)

    def _take(self, link: Link, events: list[ChatEvent]) -> None:
        for event in events:
            match event:
                case Greeted(protocol, assistants, limits):
                    self.protocol, self.assistants, self.limits = protocol, assistants, limits
                case Authenticated(user_id):
                    self.user_id = user_id
            tell(self._listeners, event)
        if link in self._chats:
            self._chats[link].take(events)
