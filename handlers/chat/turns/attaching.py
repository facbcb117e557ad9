"""Attaching: the files of a message, checked and kept before the message is stored.

The order is what makes it safe. If the function dies between the two, there is a file that no message names, and it
goes with its chat. The other way round there would be a message whose file goes after a day.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from handlers.chat.concurrency import Runtime, beside
from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.log import logger
from handlers.chat.protocol import attachments, frames, views
from handlers.chat.records import Attachment, Chat, Message
from handlers.chat.store import Store, StoreError
from handlers.chat.store.attachments import Place


@dataclass(slots=True)
class Attaching:
    """The attachments that one message names. Without any, nothing is asked and nothing is made."""

    store: Store
    runtime: Runtime
    ids: Sequence[str]
    _taken: tuple[Attachment, ...] | None = field(default=None, init=False)

    def check(self) -> None:
        """Raise `Refused` if a message cannot name these together."""
        attachments.check_ids(self.ids)
        if self.ids and not self.store.attachments.is_there:
            raise Refused(ErrorCode.ATTACHMENT_NOT_FOUND)

    def take(self, chat: Chat) -> tuple[Attachment, ...]:
        """Keep the files for good, and return them in the order of the message. The second call does nothing new.

        Raises `Refused` with `attachment_not_found` or `attachment_type`, and `StoreError`.
        """
        if self._taken is None:
            place = Place.of(chat) if self.ids else None
            # Each is looked at beside the others: a client waits for the slowest, not for the sum.
            waits = [beside(self.runtime, partial(self._take, place, each)) for each in self.ids if place]
            taken, refusals = [], list[Exception]()
            for wait in waits:
                try:
                    taken.append(wait())
                except (Refused, StoreError) as refusal:
                    refusals.append(refusal)
            if refusals:
                raise refusals[0]
            self._taken = tuple(taken)
        return self._taken

    def check_room(self, message: Message) -> None:
        """Raise `Refused` with `message_too_large` if no frame can hold a message with its attachments."""
        frame = views.acknowledgement(message, duplicate=True)
        if message.attachments and len(frames.encode(frames.as_json(frame, "x" * 64))) > frames.MAX_FRAME_BYTES:
            raise Refused(ErrorCode.MESSAGE_TOO_LARGE, "Message is too large with the names of its attachments")

    def drop(self, chat: Chat) -> None:
        """Delete what was kept for a chat that is gone: its deletion may have looked for files before they came."""
        for each in self._taken or ():
            with suppress(StoreError):
                self.store.attachments.discard(Place.of(chat), each.attachment_id)

    def _take(self, place: Place, attachment_id: str) -> Attachment:
        files = self.store.attachments
        if kept := files.kept(place, attachment_id):
            return kept
        uploaded = files.uploaded(place, attachment_id)
        if uploaded is None:
            raise Refused(ErrorCode.ATTACHMENT_NOT_FOUND)
        attachments.check_content(uploaded.attachment, uploaded.head)
        files.keep(place, uploaded)
        logger.info("attachment_kept", attachment_id=attachment_id, type=uploaded.attachment.type)
        return uploaded.attachment
