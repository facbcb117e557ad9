"""Attachments in S3: the only code that uses it. The client is made at its first use, so a plain message pays nothing.

A file is uploaded under `uploads/`, where a lifecycle rule of the bucket deletes what is a day old. A message that uses
it copies it to `files/`, where nobody but this code writes and where it stays until its chat is deleted. So a file that
a message names is never changed, whatever its uploader still sends, and one that no message names goes by itself.

A key is the way to a file: owner, chat, the moment at which the chat was created, and the attachment's id. A client
gives the last of them only. The moment tells two chats apart that a client has created under the same id.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.exceptions import PynamoDBException

from handlers.chat.aws import CONFIG, SESSION
from handlers.chat.protocol.attachments import HEAD_BYTES
from handlers.chat.records import Attachment, Chat

UPLOAD_TIME = timedelta(minutes=10)
"""The time that a client has for an upload. One that was begun in time may end later."""

LINK_TIME = timedelta(minutes=5)

_UPLOADS, _FILES = "uploads", "files"
_NAME = "name"
_DELETION_PAGE_KEYS = 500
_MISSING = ("404", "NoSuchKey", "403", "AccessDenied")
"""Codes of an object that is not there. 403 is S3's for callers who may not list the bucket: none of them may."""

_S3_CONFIG = CONFIG.merge(
    Config(
        signature_version="s3v4",
        # The host of the bucket's own region: S3 redirects uploads from any other, and browsers do not follow.
        s3={"addressing_style": "virtual"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
)


class AttachmentsFailed(PynamoDBException):
    """S3 did not do what it was asked to, after retries. Callers handle it as a failure of the tables."""


class Upload(NamedTuple):
    """A form that a client fills with a file and posts to `url`, before `expires_at`."""

    url: str
    fields: dict[str, str]
    expires_at: datetime


class Link(NamedTuple):
    """A URL that anybody may read a file at, before `expires_at`."""

    url: str
    expires_at: datetime


class Uploaded(NamedTuple):
    """A file that was uploaded: its first bytes, and the tag of exactly this content."""

    attachment: Attachment
    head: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a chat's attachments."""

    user_id: str
    chat_id: str
    created_at: datetime

    @classmethod
    def of(cls, chat: Chat) -> Place:
        """Return the place of a chat that was read from its table."""
        assert chat.created_at is not None  # noqa: S101 - only lists of chats lack it
        return cls(chat.user_id, chat.chat_id, chat.created_at)

    @property
    def path(self) -> str:
        """The part of the keys that says whose they are. Any text may be a user's id, so it is encoded."""
        owner = urlsafe_b64encode(self.user_id.encode()).decode().rstrip("=")
        return f"{owner}/{self.chat_id}/{self.created_at:%Y%m%dT%H%M%S%f}"


class Attachments:
    """The bucket of attachments. Every operation may raise `AttachmentsFailed`. Safe from any thread."""

    def __init__(self, bucket: str | None = None) -> None:
        self._bucket = os.environ.get("ATTACHMENTS_BUCKET", "") if bucket is None else bucket
        self._made: Any = None
        self._making = Lock()

    @property
    def is_there(self) -> bool:
        """True if the deployment has a bucket."""
        return bool(self._bucket)

    def upload(self, place: Place, attachment: Attachment, now: datetime) -> Upload:
        """Return the form of an upload. S3 takes exactly this key, this type, this name and this many bytes."""
        fields = {"Content-Type": attachment.type, f"x-amz-meta-{_NAME}": quote(attachment.name, safe="")}
        form = self._client.generate_presigned_post(
            self._bucket,
            _key(_UPLOADS, place, attachment.attachment_id),
            Fields=dict(fields),
            Conditions=[
                *({name: value} for name, value in fields.items()),
                ["content-length-range", attachment.bytes, attachment.bytes],
            ],
            ExpiresIn=int(UPLOAD_TIME.total_seconds()),
        )
        return Upload(form["url"], form["fields"], now + UPLOAD_TIME)

    def link(self, place: Place, attachment: Attachment, now: datetime) -> Link:
        """Return a link to a file. A browser stores what is there and never shows it as a page: it may be HTML."""
        url = self._client.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self._bucket,
                "Key": _key(_FILES, place, attachment.attachment_id),
                "ResponseContentType": attachment.type if attachment.is_image else "text/plain; charset=utf-8",
                "ResponseContentDisposition": f"attachment; filename*=UTF-8''{quote(attachment.name, safe='')}",
                "ResponseCacheControl": "private, no-store",
            },
            ExpiresIn=int(LINK_TIME.total_seconds()),
        )
        return Link(url, now + LINK_TIME)

    def kept(self, place: Place, attachment_id: str) -> Attachment | None:
        """Return an attachment that a message has used, None if there is none."""
        found = self._found("head_object", _key(_FILES, place, attachment_id))
        return None if found is None else _attachment(attachment_id, found, found["ContentLength"])

    def uploaded(self, place: Place, attachment_id: str) -> Uploaded | None:
        """Return what was uploaded, None if nothing was."""
        key = _key(_UPLOADS, place, attachment_id)
        found = self._found("get_object", key, Range=f"bytes=0-{HEAD_BYTES - 1}")
        if found is None:
            return None
        size = int(found["ContentRange"].rpartition("/")[2])
        return Uploaded(_attachment(attachment_id, found, size), _read(found), found["ETag"])

    def keep(self, place: Place, uploaded: Uploaded) -> None:
        """Keep a file until its chat is deleted, if it is still the one that was looked at."""
        attachment_id = uploaded.attachment.attachment_id
        source = {"Bucket": self._bucket, "Key": _key(_UPLOADS, place, attachment_id)}
        self._do("copy_object", _key(_FILES, place, attachment_id), CopySource=source, CopySourceIfMatch=uploaded.etag)

    def content(self, place: Place, attachment_id: str) -> bytes | None:
        """Return the content of a kept file, None if it is gone."""
        found = self._found("get_object", _key(_FILES, place, attachment_id))
        return None if found is None else _read(found)

    def discard(self, place: Place, attachment_id: str) -> None:
        """Delete a kept file. Its chat is gone."""
        self._do("delete_object", _key(_FILES, place, attachment_id))

    def delete_all(self, place: Place) -> Iterator[int]:
        """Delete all files of a chat, and yield after each batch how many it had."""
        for kind in (_FILES, _UPLOADS):
            while keys := self._keys(f"{kind}/{place.path}/"):
                found = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
                answer = _tried(lambda found=found: self._client.delete_objects(Bucket=self._bucket, Delete=found))
                if errors := answer.get("Errors"):
                    raise AttachmentsFailed(f"S3 did not delete {len(errors)} objects: {errors[0].get('Code')}")
                yield len(keys)

    def _keys(self, prefix: str) -> list[str]:
        listed = {"Bucket": self._bucket, "Prefix": prefix, "MaxKeys": _DELETION_PAGE_KEYS}
        page = _tried(lambda: self._client.list_objects_v2(**listed))
        return [each["Key"] for each in page.get("Contents", ())]

    def _found(self, operation: str, key: str, **more: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._do(operation, key, **more)
        except AttachmentsFailed as failure:
            cause = failure.cause
            if isinstance(cause, ClientError) and cause.response["Error"]["Code"] in _MISSING:
                return None
            raise
        return found

    def _do(self, operation: str, key: str, **more: Any) -> Any:
        return _tried(lambda: getattr(self._client, operation)(Bucket=self._bucket, Key=key, **more))

    @property
    def _client(self) -> Any:
        # A session makes one client at a time.
        with self._making:
            if self._made is None:
                self._made = SESSION.client("s3", config=_S3_CONFIG)
            return self._made


def _key(kind: str, place: Place, attachment_id: str) -> str:
    return f"{kind}/{place.path}/{attachment_id}"


def _attachment(attachment_id: str, found: dict[str, Any], size: int) -> Attachment:
    return Attachment(attachment_id, unquote(found["Metadata"].get(_NAME, "")), found["ContentType"], size)


def _read(found: dict[str, Any]) -> bytes:
    return bytes(_tried(found["Body"].read))


def _tried(work: Any) -> Any:
    """Do something with S3. Raises `AttachmentsFailed`."""
    try:
        return work()
    except (ClientError, BotoCoreError) as error:
        raise AttachmentsFailed(f"S3 failed: {type(error).__name__}", error) from error
