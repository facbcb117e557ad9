"""Attachments: which files a message may have, and their JSON on the wire and in the store. No I/O.

A client says what a file is. What is believed is its first bytes: an image must begin as images of its type do, and
nothing else may be an image.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Sequence

from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.protocol.frames import AttachmentView
from handlers.chat.records import Attachment

MAX_ATTACHMENTS = 8
"""The most attachments of one message. Their names and a text of 10,000 characters still fit into a frame."""

MAX_NAME_CHARS = 100
HEAD_BYTES = 1024
"""The first bytes of a file that tell its type."""

MEGABYTE = 1024 * 1024

_IMAGES = {
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/gif": re.compile(rb"GIF8[79]a"),
    "image/webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
}
"""The types of images that the models of OpenAI, Anthropic and Google take, and how such files begin
(https://mimesniff.spec.whatwg.org/#matching-an-image-type-pattern)."""

_TEXT = re.compile(r"text/[a-z0-9][a-z0-9.+-]{0,60}|application/json")
_UTF8 = codecs.getincrementaldecoder("utf-8")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NOT_IN_TEXTS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
"""The bytes that make a file binary (https://mimesniff.spec.whatwg.org/#binary-data-byte)."""


def check_new(attachment: Attachment, megabytes: int, takes_images: bool) -> None:
    """Raise `Refused` if no such file may be uploaded. `megabytes` is the size of the largest one, 0 for none."""
    if not megabytes:
        raise Refused(ErrorCode.ATTACHMENT_TYPE, "This deployment takes no attachments")
    if attachment.bytes > megabytes * MEGABYTE:
        raise Refused(ErrorCode.ATTACHMENT_TOO_LARGE, f"A file has at most {megabytes * MEGABYTE} bytes")
    if attachment.type in _IMAGES and not takes_images:
        raise Refused(ErrorCode.ATTACHMENT_TYPE, "The model of this deployment takes no images")
    if attachment.type not in _IMAGES and not _TEXT.fullmatch(attachment.type):
        choice = ", ".join(_IMAGES)
        raise Refused(ErrorCode.ATTACHMENT_TYPE, f"Files of this type are not taken: only {choice}, text/* and JSON")


def check_ids(ids: Sequence[str]) -> None:
    """Raise `Refused` if a message cannot have these attachments together."""
    if len(ids) > MAX_ATTACHMENTS:
        raise Refused(ErrorCode.INVALID_FORMAT, f"A message has at most {MAX_ATTACHMENTS} attachments")
    if len(set(ids)) < len(ids):
        raise Refused(ErrorCode.INVALID_FORMAT, "An attachment is in this message twice")
    if not all(map(is_id, ids)):
        raise Refused(ErrorCode.ATTACHMENT_NOT_FOUND)


def is_id(text: str) -> bool:
    """Return True if a text may be the id of an attachment. Others never become part of a key."""
    return _ID.fullmatch(text) is not None


def check_content(attachment: Attachment, head: bytes) -> None:
    """Raise `Refused` if a file is not what its type says. `head` are its first bytes."""
    if attachment.is_image:
        known = _IMAGES.get(attachment.type)
        is_as_said = known is not None and known.match(head) is not None
    else:
        is_as_said = _is_text(head)
    if not is_as_said:
        raise Refused(ErrorCode.ATTACHMENT_TYPE, f"{attachment.name} is no {attachment.type}")


def view(attachment: Attachment) -> AttachmentView:
    """Return an attachment as clients see it."""
    return AttachmentView(
        id=attachment.attachment_id, name=attachment.name, type=attachment.type, bytes=attachment.bytes
    )


def views(attachments: Sequence[Attachment]) -> tuple[AttachmentView, ...] | None:
    """Return the attachments of a message as clients see them, None if there are none."""
    return tuple(map(view, attachments)) or None


def kept_attachments(attachments: Sequence[Attachment]) -> str | None:
    """Return the attachments of a message as its item keeps them, None if there are none."""
    kept = [[each.attachment_id, each.name, each.type, each.bytes] for each in attachments]
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":")) if kept else None


def attachments_in(kept: str | None) -> tuple[Attachment, ...]:
    """Return the attachments that an item keeps."""
    return tuple(Attachment(*each) for each in json.loads(kept)) if kept else ()


def _is_text(head: bytes) -> bool:
    is_whole = len(head) < HEAD_BYTES  # if not, the last character may be cut
    try:
        _UTF8().decode(head, final=is_whole)
    except UnicodeDecodeError:
        return False
    return _NOT_IN_TEXTS.search(head) is None
