"""Files that users upload, in moto's S3."""

from __future__ import annotations

from functools import cache
from typing import Any

import boto3

from handlers.chat.records import Attachment
from handlers.chat.store import Store
from handlers.chat.store.attachments import Attachments, Place
from tests.support.conversation import NOON

BUCKET = "attachments-bucket"

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
TEXT = "Tea, чай\n".encode()


@cache
def bucket() -> Attachments:
    """The bucket of all tests: its client takes longer to make than a test to run."""
    return Attachments(BUCKET)


def create_bucket() -> Attachments:
    s3().create_bucket(Bucket=BUCKET)
    return bucket()


@cache
def s3() -> Any:
    return boto3.client("s3", region_name="us-east-1")


def keys() -> list[str]:
    return [each["Key"] for each in s3().list_objects_v2(Bucket=BUCKET).get("Contents", ())]


def put(fields: dict[str, str], content: bytes) -> None:
    """Upload a file with the fields of a form, as S3 would after it has checked them."""
    name = fields["x-amz-meta-name"]
    s3().put_object(
        Bucket=BUCKET, Key=fields["key"], Body=content, ContentType=fields["Content-Type"], Metadata={"name": name}
    )


def upload(
    store: Store,
    attachment_id: str,
    content: bytes = PNG,
    type: str = "image/png",  # noqa: A002
    name: str = "tea.png",
    *,
    user: str = "alice",
    chat_id: str = "chat",
) -> Attachment:
    """Upload a file to a chat. Returns what a message that names it has."""
    attachment = Attachment(attachment_id, name, type, len(content))
    chat = store.chats.get(user, chat_id)
    assert chat is not None
    put(store.attachments.upload(Place.of(chat), attachment, NOON).fields, content)
    return attachment
