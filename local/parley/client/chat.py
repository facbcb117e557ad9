"""One open chat."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from parley.client.errors import ChatNotFound, Closed, ParleyError, ReplyGone
from parley.client.events import ChatDeleted, ChatEvent
from parley.client.link import Link
from parley.client.messages import Message
from parley.client.turn import Turn

Listener = Callable[[ChatEvent], object]


def tell(listeners: Sequence[Listener], event: ChatEvent) -> None:
    """Call listeners. The exception of one goes to the event loop's handler, and the connection goes on."""
    for listener in list(listeners):
        try:
            listener(event)
        except Exception as error:
            context = {"message": "A listener of the chat has failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)


class Chat:
    """A chat that this client has open. `ParleyClient` makes it.

    ```python
    turn = await chat.send("hi")
    async for event in turn:
        if isinstance(event, ReplyText):
            print(event.text, end="")
    ```

    All methods that ask the server raise `Refused` if it refuses, `RequestLost` if the connection was lost and the
    request must not come twice, and otherwise the `ParleyError` that has ended the connection.
    """

    def __init__(self, link: Link, new_id: Callable[[], str]) -> None:
        self._link = link
        self._new_id = new_id
        self._turns: list[Turn] = []
        self._listeners: list[Listener] = []
        self._error: ParleyError | None = None
        self.id = link.conversation.chat_id or ""

    @property
    def title(self) -> str:
        """The title of the chat."""
        return self._link.conversation.title

    @property
    def assistant(self) -> str | None:
        """Id of the assistant that answers. None if the server does not tell."""
        return self._link.conversation.assistant

    @property
    def messages(self) -> tuple[Message, ...]:
        """The messages of the shown branch that are known here, the oldest first. A running reply is not among them."""
        return self._link.conversation.history.messages

    @property
    def has_more(self) -> bool:
        """True if there are older messages: `load_more` gets them."""
        return self._link.conversation.history.has_more

    @property
    def state(self) -> str:
        """State of the connection: "online", "offline" (it comes back by itself) or "closed"."""
        return "closed" if self._error else self._link.state

    @property
    def is_busy(self) -> bool:
        """True while an answer or a reply is to come. A reply that waits for the user's approval does not count."""
        return self._link.conversation.busy

    @property
    def is_replying(self) -> bool:
        """True while a reply is running or requested."""
        return self._link.conversation.replying

    @property
    def is_stopping(self) -> bool:
        """True after `cancel`, until the reply has ended."""
        return self._link.conversation.stopping

    @property
    def calls_to_approve(self) -> tuple[str, ...]:
        """Ids of the calls that the running reply waits with until the user has approved or refused them."""
        return tuple(self._link.conversation.asking)

    async def send(
        self, text: str, *, attachments: Sequence[str] = (), client_message_id: str | None = None, wait: bool = False
    ) -> Turn:
        """Send a message. Return the turn when the server has stored it.

        `attachments` are ids of uploaded files. A message with the same `client_message_id` is stored once. If a reply
        is running, the server refuses with the code `busy`; with `wait` the message is sent again after that reply.
        """
        data = self._message(text, attachments, client_message_id)
        return await self._ask_for_reply("message", data, wait=wait)

    async def edit(
        self, message_id: str, text: str, *, attachments: Sequence[str] = (), client_message_id: str | None = None
    ) -> Turn:
        """Put another message in the place of one of the user's. The old one stays as a sibling."""
        data = {"messageId": message_id, **self._message(text, attachments, client_message_id)}
        return await self._ask_for_reply("edit", data)

    def _message(self, text: str, attachments: Sequence[str], client_message_id: str | None) -> dict[str, Any]:
        data: dict[str, Any] = {"message": text, "clientMessageId": client_message_id or self._new_id()}
        return data | ({"attachments": list(attachments)} if attachments else {})

    async def _ask_for_reply(self, kind: str, data: dict[str, Any], *, wait: bool = False) -> Turn:
        self._check()
        answer = await self._link.ask(kind, data, "user_message", waits=wait)
        return self._follow(Turn(message_id=answer.text("messageId")))

    async def regenerate(self) -> Turn:
        """Have the last reply made again. The old one stays as a sibling."""
        self._check()
        answer = await self._link.ask("regenerate", {}, "assistant_message_start")
        return self._follow(Turn(reply_id=answer.text("messageId")))

    def running(self) -> Turn | None:
        """Return the turn whose reply is running now, whoever has asked for it. None if there is none."""
        reply = self._link.conversation.reply
        return self._follow(Turn(reply.answers, reply.message_id)) if reply else None

    async def cancel(self) -> None:
        """Stop the reply that is running or requested. It ends with the finish reason "cancelled"."""
        await self._link.perform(self._link.conversation.stop())

    async def approve(self, call_id: str, approved: bool = True) -> None:
        """Approve a call of a tool that waits for the user, or refuse it."""
        self._check()
        await self._link.ask("approve", {"callId": call_id, "approved": approved}, "call_answered")

    async def select(self, message_id: str) -> None:
        """Show a sibling of a message that is shown, with what came after it. `messages` are of its branch then."""
        self._check()
        await self._link.ask("select", {"messageId": message_id}, "branch_selected")
        await self.settled()

    async def load_more(self, limit: int | None = None) -> tuple[Message, ...]:
        """Load older messages, at most `limit` (50 without it), and return them. They are in `messages` then."""
        self._check()
        if not self.messages:
            return ()
        data = {"before": self.messages[0].id} | ({"limit": limit} if limit else {})
        answer = await self._link.ask("load_history", data, "history")
        page = {each.text("messageId") for each in answer.frames("messages")}
        return tuple(message for message in self.messages if message.id in page)

    async def settled(self) -> None:
        """Wait until no answer and no reply is to come. A reply that waits for the user's approval does not count."""
        await self._link.until(lambda: not self.is_busy)
        self._check()

    async def ended(self) -> ParleyError:
        """Wait until this chat is open no more, and return the reason."""
        await self._link.until(lambda: self._error is not None)
        return self._error or self._link.error or Closed("The chat was closed.")

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call a function with each event of this chat, in order. Return the function that ends this."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _check(self) -> None:
        if self._error:
            raise self._error
        self._link.check()

    def _follow(self, turn: Turn) -> Turn:
        self._turns.append(turn)
        self._settle()
        return turn

    def _settle(self) -> None:
        for turn in self._turns:
            if commands := turn.settle(self._link.conversation):
                self._link.perform_soon(commands)
        self._turns = [turn for turn in self._turns if not turn.is_over]

    def take(self, events: list[ChatEvent]) -> None:
        """Take events of the connection. The client calls this."""
        for event in events:
            for turn in self._turns:
                turn.feed(event)
            tell(self._listeners, event)
            if event == ChatDeleted(self.id):
                self._fail(ChatNotFound("The chat was deleted. Create another one.", "chat_not_found"))
        if self._link.error:
            self._fail(self._link.error)
        self._settle()

    def leave(self) -> None:
        """End this chat here: its connection goes on with another one. The client calls this."""
        self._error = Closed("This chat was closed here. Open it again.")
        self._fail(ReplyGone("The chat was closed here before the end of the reply. Open it again to see the rest."))

    def _fail(self, error: ParleyError) -> None:
        for turn in self._turns:
            turn.fail(error)
        self._turns.clear()
