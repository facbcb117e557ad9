"""Events of a chat, and commands to the connection, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from parley.client.errors import ParleyError
from parley.client.frames import Frame, ListedAssistant
from parley.client.messages import Message
from parley.client.reply import Part


@dataclass(frozen=True, slots=True)
class ReplyStarted:
    """A reply begins. `replaces` is the id of the reply in whose place it is."""

    message_id: str
    attempt: int
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class ReplyText:
    """The next piece of the reply's text."""

    message_id: str
    text: str


@dataclass(frozen=True, slots=True)
class ReplyPart:
    """A part of the reply as it is now. It replaces an earlier state of the part with the same index."""

    message_id: str
    part: Part


@dataclass(frozen=True, slots=True)
class ReplyRestarted:
    """Another worker makes the reply again: drop the text and the parts that have come so far."""

    message_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class ReplyEnded:
    """The end of the reply. `message` has all of it."""

    message: Message


ReplyEvent = ReplyStarted | ReplyText | ReplyPart | ReplyRestarted | ReplyEnded
"""An event of one reply, as a turn yields it."""


@dataclass(frozen=True, slots=True)
class ReplyLeft:
    """A newer reply has begun before the end of this one. The rest comes as a `MessageMissed`."""

    message_id: str


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The connection is "online", "offline" (it comes back by itself) or "closed" (it does not)."""

    state: str


@dataclass(frozen=True, slots=True)
class Greeted:
    """The server's greeting, once for each connection."""

    protocol: str
    assistants: tuple[ListedAssistant, ...]
    limits: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The server knows the user."""

    user_id: str


@dataclass(frozen=True, slots=True)
class ChatOpened:
    """A chat is open now. `is_new` is True if it was created."""

    chat_id: str
    title: str
    assistant: str | None
    is_new: bool


@dataclass(frozen=True, slots=True)
class MessageMissed:
    """A stored message that was not known here: of a chat that was opened, or from a time without a connection."""

    message: Message


@dataclass(frozen=True, slots=True)
class EarlierMessages:
    """A page of older messages. It is empty if there are none."""

    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class UserMessage:
    """A message of the user was stored. `own` is True if this client sent it."""

    message: Message
    own: bool
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class CallAnswered:
    """The user has approved a call or refused it, here or on another device. `waited` tells if it was known here."""

    call_id: str
    approved: bool
    waited: bool = True


@dataclass(frozen=True, slots=True)
class BranchSelected:
    """The chat shows another branch. Its messages follow when the chat has been joined again."""

    message_id: str


@dataclass(frozen=True, slots=True)
class ChatUpdated:
    """A chat of the user has another title."""

    chat_id: str
    title: str


@dataclass(frozen=True, slots=True)
class ChatDeleted:
    """A chat of the user was deleted."""

    chat_id: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A text from an administrator."""

    text: str


@dataclass(frozen=True, slots=True)
class ServerError:
    """The server refused a frame. `code` is that of the protocol."""

    text: str
    code: str | None = None


@dataclass(frozen=True, slots=True)
class GatewayError:
    """The gateway reports that a function has failed. A message is sent again by itself."""

    text: str


@dataclass(frozen=True, slots=True)
class MessageHeld:
    """A message waits for the end of the reply that is running, and is then sent again."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The server sent something that is not a frame of the protocol. It is ignored."""

    text: str


ChatEvent = (
    ReplyEvent
    | ReplyLeft
    | StateChanged
    | Greeted
    | Authenticated
    | ChatOpened
    | MessageMissed
    | EarlierMessages
    | UserMessage
    | CallAnswered
    | BranchSelected
    | ChatUpdated
    | ChatDeleted
    | Notice
    | ServerError
    | GatewayError
    | MessageHeld
    | Unreadable
)
"""An event that a listener is called with."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to the pending request has come."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class RequestFailed:
    """The pending request will have no answer."""

    error: ParleyError


@dataclass(frozen=True, slots=True)
class Resume:
    """Join the chat again with `resume`: something is missing."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a frame."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Cancel:
    """Ask the server to cancel a reply. None if only the server knows which one is running."""

    message_id: str | None


Command = Resume | Send | Cancel
"""An order to the connection."""

Outcome = ChatEvent | Answered | RequestFailed | Command
"""A result of a frame: an event, news of the pending request, or a command."""
