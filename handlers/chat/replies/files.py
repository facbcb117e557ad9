"""Files in a prompt: which attachments the model gets, and in which form.

An image goes as a data URL, which every server can read; a link to a private bucket only some could. A text goes into
the message of the user, in a frame that says its name. It is never a message of the system, whatever it says.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any

from handlers.chat.concurrency import Runtime, beside
from handlers.chat.log import logger
from handlers.chat.protocol.frames import clean
from handlers.chat.records import Attachment, Chat
from handlers.chat.store.attachments import Attachments, Place

MAX_IMAGE_BYTES = 20 * 1024 * 1024
"""Bytes of all images of a question. As base64 they still fit into the smallest request that is known to be limited:
Anthropic's 32 MB (API overview, "Request size limits")."""

CUT = "\n[The rest of this file is left out: it is too long.]"
NOT_SHOWN = "This image is not shown to you."
NOT_READ = "This file is left out."
FRAME = '<image name="" type=""></image>' + NOT_SHOWN
"""As many characters as a frame has around a file at most, for the estimate of the tokens."""

_END = re.compile("</(file)", re.IGNORECASE)

_NOT_DATA = "\n"

Files = Mapping[str, str]
"""The contents of attachments, by their ids: the data URL of an image, or a text."""


@dataclass(frozen=True, slots=True)
class Room:
    """The room for files in one question: images, and characters of texts."""

    images: int
    chars: int


def chosen(newest_first: Iterable[tuple[Attachment, ...]], room: Room) -> Iterator[tuple[Attachment, int]]:
    """Yield the attachments that fit, those of the newest message first, each with the characters that it may have.

    Others are only named. A text of the newest message that does not fit is cut: the question is about it.
    """
    images, image_bytes, chars = room.images, MAX_IMAGE_BYTES, room.chars
    seen = set[str]()
    for age, attachments in enumerate(newest_first):
        for each in attachments:
            if each.attachment_id in seen:
                continue
            seen.add(each.attachment_id)
            if each.is_image and images and each.bytes <= image_bytes:
                images, image_bytes = images - 1, image_bytes - each.bytes
                yield each, 0
            elif not each.is_image and (each.bytes <= chars or (age == 0 and chars > 0)):
                # A character has at least one byte.
                taken = min(each.bytes, chars)
                chars -= taken
                yield each, taken


def load(
    newest_first: Iterable[tuple[Attachment, ...]], room: Room, chat: Chat, store: Attachments, runtime: Runtime
) -> Files:
    """Return the contents of the attachments that fit. Without any, nothing is read. Raises `StoreError`."""
    files = dict(chosen(newest_first, room))
    if not files:
        return {}
    read = partial(store.content, Place.of(chat))
    waits = {each: beside(runtime, partial(read, each.attachment_id)) for each in files}
    contents = {each: wait() for each, wait in waits.items()}
    for each, content in contents.items():
        if content is None:
            logger.error("attachment_gone", attachment_id=each.attachment_id)
    return {
        each.attachment_id: _form(each, content, files[each])
        for each, content in contents.items()
        if content is not None
    }


def content(text: str, attachments: Iterable[Attachment], files: Files, images: Collection[str]) -> str | list[Any]:
    """Return the content of a message with attachments, as the API has it. `images` are the ids of those to send."""
    framed = [text, *(_framed(each, files, images) for each in attachments)]
    whole = {"type": "text", "text": "\n\n".join(framed)}
    shown = [each.attachment_id for each in attachments if each.attachment_id in images]
    if not shown:
        return whole["text"]
    return [whole, *({"type": "image_url", "image_url": {"url": files[each]}} for each in shown)]


def preceded(instructions: str, content: str | list[Any]) -> str | list[Any]:
    """Return the content of a message with a text before it."""
    if isinstance(content, str):
        return instructions + content
    first, *images = content
    return [{**first, "text": instructions + first["text"]}, *images]


def images_in(newest_first: Iterable[tuple[Attachment, ...]], files: Files, most: int | None) -> list[str]:
    """Return the ids of the newest images whose contents are there, `most` at most."""
    there = [
        each.attachment_id
        for attachments in newest_first
        for each in attachments
        if each.is_image and each.attachment_id in files
    ]
    return list(dict.fromkeys(there))[:most]


def shortened(files: Files, chars: int) -> Files:
    """Return the contents with the texts cut to so many characters."""
    return {name: each if _is_data(each) else _cut(each, chars) for name, each in files.items()}


def texts(files: Files) -> Iterator[str]:
    """Yield the texts among the contents."""
    return (each for each in files.values() if not _is_data(each))


def text_files(files: Files) -> Iterator[tuple[str, str]]:
    """Yield the ids of the texts among the contents, each with its text."""
    return ((name, each.removeprefix(_NOT_DATA)) for name, each in files.items() if not _is_data(each))


def as_text(text: str) -> str:
    """Return a text as a content, which never looks like an image."""
    return _NOT_DATA + text


def _is_data(content: str) -> bool:
    return content.startswith("data:image/")


def _form(attachment: Attachment, content: bytes, chars: int) -> str:
    if attachment.is_image:
        return f"data:{attachment.type};base64,{b64encode(content).decode()}"
    text = clean(content.decode(errors="replace").removeprefix("\ufeff").replace("\r\n", "\n"))
    return as_text(_cut(text, chars))


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars + len(CUT) else text[:chars].removesuffix(CUT) + CUT


def _framed(attachment: Attachment, files: Files, images: Collection[str]) -> str:
    name = escape(attachment.name)
    if attachment.is_image:
        return f'<image name="{name}">{"" if attachment.attachment_id in images else NOT_SHOWN}</image>'
    text = files.get(attachment.attachment_id, NOT_READ)
    # The text of a file cannot end its frame.
    closed = _END.sub(r"<\\/\1", text)
    return f'<file name="{name}" type="{attachment.type}">{closed}\n</file>'
