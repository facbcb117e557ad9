"""Client frames: every message of the wire protocol from a client to us (`docs/protocol.md`), checked by pydantic.

Only what reads frames imports this module: the functions that only send some start faster without pydantic.
"""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from handlers.chat.protocol.frames import clean
from handlers.chat.records import Resume

MAX_OFFSET = 2**53 - 1
"""The largest whole number that JavaScript counts exactly (`Number.MAX_SAFE_INTEGER`)."""

TAG = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,64}")


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("there is no text in it")
    return text


Text = Annotated[str, AfterValidator(clean)]
NonBlankText = Annotated[Text, AfterValidator(_not_blank)]
Title = Annotated[NonBlankText, Field(min_length=1, max_length=200)]
"""A title that somebody gives to a chat."""

Id = Annotated[str, Field(min_length=1, max_length=128)]
AttachmentIds = Annotated[tuple[Id, ...], Field(strict=False)]
"""Not strict: JSON has lists only."""

Tag = Annotated[str, Field(pattern=f"^{TAG.pattern}$")]
"""An id that a client chooses: at most 64 characters, no control characters."""


class ClientFrame(BaseModel):
    """The data of a frame from a client. Unknown fields are ignored, known ones must have their type."""

    model_config = ConfigDict(strict=True, frozen=True, alias_generator=to_camel)
    type: ClassVar[str]


class ResumePoint(BaseModel):
    """The part of a reply that a client has."""

    model_config = ConfigDict(strict=True, frozen=True, alias_generator=to_camel)
    message_id: Id
    """The id of the reply."""
    offset: Annotated[int, Field(ge=0, le=MAX_OFFSET)]
    """The length of the text that the client has, in UTF-16 code units."""
    attempt: Annotated[int, Field(ge=1, le=MAX_OFFSET)] | None = None
    """The attempt that this text is of. If it has changed, the whole reply is sent."""


class JoinChat(ClientFrame):
    """Authenticate. With `chat_id`, join that chat too."""

    type: ClassVar[str] = "join_chat"
    token: str | None = None
    """A JSON Web Token. It may be left out once the connection has a user."""
    chat_id: Id | None = None
    """The chat to join."""
    resume: ResumePoint | None = None
    """What the client has of a reply: the server sends the rest."""

    @property
    def resume_from(self) -> Resume | None:
        """The resume point as the domain knows it."""
        point = self.resume
        return Resume(point.message_id, point.offset, point.attempt) if point else None


class CreateChat(ClientFrame):
    """Create a chat and join it."""

    type: ClassVar[str] = "create_chat"
    title: Title | None = None
    """The title of the chat, which is not blank. Without it, the server makes one."""
    assistant: Id | None = None
    """The id of the assistant that answers in the chat. Without it, the default one."""
    client_chat_id: Tag | None = None
    """The client's own id of the chat. The same id gives the same chat again."""


class SendMessage(ClientFrame):
    """Send a message to the joined chat, perhaps with attachments that were uploaded for it."""

    type: ClassVar[str] = "message"
    message: Text
    """The text, which is not blank."""
    client_message_id: Tag | None = None
    attachments: AttachmentIds | None = None


class Cancel(ClientFrame):
    """End the running reply."""

    type: ClassVar[str] = "cancel"
    message_id: Id | None = None
    """The id of the reply. If another one runs, nothing is cancelled."""


class Approve(ClientFrame):
    """Let a call of a tool be made that waits for its user, or refuse it."""

    type: ClassVar[str] = "approve"
    call_id: Id
    """The id of the call."""
    approved: bool
    """True to let the call be made, false to refuse it."""


class Regenerate(ClientFrame):
    """Make the last reply again."""

    type: ClassVar[str] = "regenerate"


class Edit(ClientFrame):
    """Put a message into the place of one of the user's, and have it answered. The old one stays on its branch."""

    type: ClassVar[str] = "edit"
    message_id: Id
    """The message of the user to put another one in the place of."""
    message: Text
    """The text, which is not blank."""
    client_message_id: Tag | None = None
    attachments: AttachmentIds | None = None


class Select(ClientFrame):
    """Show the branch of a message instead of the one of its sibling that is shown."""

    type: ClassVar[str] = "select"
    message_id: Id
    """A sibling of a message that is shown."""


class LoadHistory(ClientFrame):
    """Ask for the messages that are older than one that the client has."""

    type: ClassVar[str] = "load_history"
    before: Id
    """The id of a message. Older ones are sent."""
    limit: Annotated[int, Field(ge=1, le=100)] | None = None
    """The most messages on the page, 50 by default."""


class LeaveChat(ClientFrame):
    """Leave the joined chat."""

    type: ClassVar[str] = "leave_chat"


class Ping(ClientFrame):
    """Keep the connection from closing because it is idle."""

    type: ClassVar[str] = "ping"


CLIENT_FRAMES: dict[str, type[ClientFrame]] = {
    frame.type: frame
    for frame in (
        *(JoinChat, CreateChat, SendMessage, Cancel, Approve, Regenerate, Edit, Select),
        *(LoadHistory, LeaveChat, Ping),
    )
}
