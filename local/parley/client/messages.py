"""Messages of a chat, and the list of those that the client knows. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from parley.client.frames import Frame
from parley.client.reply import Part


@dataclass(frozen=True, slots=True)
class Message:
    """A stored message. `role` is "user" or "assistant"; times are RFC 3339.

    `text` is None if the reply is too large for the frame that listed it. `part_count` is the number of its stored
    parts: there may be more than `parts` has. `siblings` are the ids of the messages that may stand in its place, with
    its own, the oldest first; it is empty if there are none.
    """

    id: str
    role: str
    text: str | None
    timestamp: str | None = None
    parts: tuple[Part, ...] = ()
    part_count: int = 0
    siblings: tuple[str, ...] = ()
    attachments: tuple[Mapping[str, Any], ...] = ()
    finish_reason: str | None = None
    usage: Mapping[str, Any] | None = None
    cost: Mapping[str, Any] | None = None
    feedback: str | None = None

    @property
    def is_whole(self) -> bool:
        """True if nothing of the text and of the parts is missing here."""
        return self.text is not None and len(self.parts) >= self.part_count and not any(p.cut for p in self.parts)


def parse_message(frame: Frame, parts: Sequence[Part] | None = None) -> Message:
    """Parse the fields of a message. `parts` replace those of the frame. Raises FrameError."""
    if parts is None:
        listed = frame.frames("parts") if isinstance(frame.data.get("parts"), list) else []
        parts = [Part.parse(each.data, each.number("index"), each.number("offset")) for each in listed]
    count = frame.data.get("partCount")
    files = frame.data.get("attachments")
    return Message(
        id=frame.text("messageId"),
        role=frame.text("role"),
        text=frame.optional("content"),
        timestamp=frame.optional("timestamp"),
        parts=tuple(parts),
        part_count=count if isinstance(count, int) else 0,
        siblings=frame.texts("siblings"),
        attachments=tuple(each for each in files if isinstance(each, dict)) if isinstance(files, list) else (),
        finish_reason=frame.optional("finishReason"),
        usage=_object(frame, "usage"),
        cost=_object(frame, "cost"),
        feedback=frame.optional("feedback"),
    )


def _object(frame: Frame, name: str) -> Mapping[str, Any] | None:
    value = frame.data.get(name)
    return value if isinstance(value, dict) else None


class History:
    """The messages of the shown branch that the client knows, the oldest first."""

    def __init__(self) -> None:
        self.messages: tuple[Message, ...] = ()
        self.has_more = False

    @property
    def last_of_the_user(self) -> str | None:
        """Id of the newest message of the user."""
        return next((each.id for each in reversed(self.messages) if each.role == "user"), None)

    def get(self, message_id: str) -> Message | None:
        """Return a message, None if it is not known or not shown."""
        return next((each for each in self.messages if each.id == message_id), None)

    def answer_to(self, message_id: str) -> Message | None:
        """Return the reply that follows a message of the user."""
        pairs = zip(self.messages, self.messages[1:], strict=False)
        return next((after for each, after in pairs if each.id == message_id and after.role == "assistant"), None)

    def join(self, page: Sequence[Message], has_more: bool) -> None:
        """Take the newest page. Older messages are kept if the page continues them."""
        known = {each.id: each for each in self.messages}
        older: tuple[Message, ...] = ()
        if page and page[0].id in known:
            listed = {each.id for each in page}
            older = tuple(each for each in self.messages[: self._position(page[0].id)] if each.id not in listed)
        else:
            self.has_more = has_more
        self.messages = older + tuple(_fuller(each, known.get(each.id)) for each in page)

    def earlier(self, page: Sequence[Message], has_more: bool) -> None:
        """Take the page before the oldest message."""
        known = {each.id for each in self.messages}
        self.messages = tuple(each for each in page if each.id not in known) + self.messages
        self.has_more = has_more

    def put(self, message: Message, after: str | None = None) -> None:
        """Add a message, or replace what is known of it. A reply stands after the message that it answers."""
        at = self._position(message.id)
        if at == len(self.messages) and after is not None and self.answer_to(after) is None:
            at = min(self._position(after) + 1, at)
            self.messages = (*self.messages[:at], message, *self.messages[at:])
        else:
            self.messages = (*self.messages[:at], message, *self.messages[at + 1 :])

    def cut(self, message_id: str) -> None:
        """Drop a message and all after it."""
        self.messages = self.messages[: self._position(message_id)]

    def clear(self) -> None:
        """Drop all messages."""
        self.messages, self.has_more = (), False

    def _position(self, message_id: str) -> int:
        """Return the index of a message, or the end if it is not known."""
        return next((at for at, each in enumerate(self.messages) if each.id == message_id), len(self.messages))


def _fuller(message: Message, known: Message | None) -> Message:
    """Return a message of a page with what is already known of it: pages cut long texts and parts."""
    if known is None:
        return message
    text = known.text if message.text is None else message.text
    parts = message.parts if message.is_whole or not known.parts else known.parts
    return replace(message, text=text, parts=parts, usage=known.usage, cost=known.cost)
