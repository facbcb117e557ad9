"""PynamoDB's models of the DynamoDB tables, and their conversion to records. Only the package `store` uses them.

`infra/template.yaml` makes the tables, their keys and indexes, and its variables give their names.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Self

from pynamodb.attributes import (
    BinaryAttribute,
    BooleanAttribute,
    ListAttribute,
    MapAttribute,
    NumberAttribute,
    TTLAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
    UTCDateTimeAttribute,
)
from pynamodb.expressions.condition import Condition
from pynamodb.indexes import GlobalSecondaryIndex, IncludeProjection
from pynamodb.pagination import ResultIterator

from handlers.chat.limits.budget import Reservation, TokenUse
from handlers.chat.limits.policy import ChatCount, QuotaUsage, ReplySlot
from handlers.chat.protocol.attachments import attachments_in, kept_attachments
from handlers.chat.protocol.parts import kept_parts, parts_in
from handlers.chat.records import (
    Announcement,
    Chat,
    Connection,
    FinishReason,
    Message,
    Rating,
    Resume,
    Role,
    Subscription,
    Turn,
    Usage,
    User,
)
from handlers.chat.store.dynamodb import Table
from handlers.chat.store.kept_sizes import sizes_in


class QuotaUsageMap(MapAttribute[str, Any]):
    """A user's use of quotas, on the user's item."""

    day = UnicodeAttribute()
    messages = NumberAttribute()
    full_at = NumberAttribute(attr_name="fullAt")
    slots: MapAttribute[str, Any] = MapAttribute(attr_name="places")  # type: ignore[no-untyped-call]

    @classmethod
    def of(cls, usage: QuotaUsage) -> Self:
        """Return the map of a usage."""
        slots = {
            chat_id: {"since": slot.since} | ({"after": slot.last_message_id} if slot.last_message_id else {})
            for chat_id, slot in usage.slots.items()
        }
        return cls(day=usage.day, messages=usage.messages, full_at=usage.full_at, slots=slots)

    def usage(self) -> QuotaUsage:
        """Return the usage."""
        kept: dict[str, dict[str, Any]] = self.slots.as_dict()  # type: ignore[no-untyped-call]
        slots = {chat_id: ReplySlot(int(slot["since"]), slot.get("after")) for chat_id, slot in kept.items()}
        return QuotaUsage(self.day, int(self.messages), int(self.full_at), slots)


class ChatCountMap(MapAttribute[str, int]):
    """The count of a user's chats, on the user's item."""

    created = NumberAttribute()
    removed = NumberAttribute()
    at = NumberAttribute()

    @classmethod
    def of(cls, count: ChatCount) -> Self:
        """Return the map of a count."""
        return cls(created=count.created, removed=count.removed, at=count.at)

    def count(self) -> ChatCount:
        """Return the count."""
        return ChatCount(int(self.created), int(self.removed), int(self.at))


class UserItem(Table):
    """A user, made by an administrator, by a first token (`AUTO_CREATE_USERS`), or by the emulator (`--users`)."""

    class Meta:
        table_name = os.environ.get("USERS_TABLE", "users")

    user_id = UnicodeAttribute(hash_key=True, attr_name="userId")
    name = UnicodeAttribute(null=True)
    roles: ListAttribute[Any] = ListAttribute(of=UnicodeAttribute, null=True)
    disabled = BooleanAttribute(null=True)
    created_at = UTCDateTimeAttribute(null=True, attr_name="createdAt")
    quota_usage = QuotaUsageMap(null=True, attr_name="spent")  # type: ignore[no-untyped-call]
    chat_count = ChatCountMap(null=True, attr_name="chats")  # type: ignore[no-untyped-call]

    def user(self) -> User:
        """Return the user."""
        return User(self.user_id, self.name, frozenset(self.roles or ()), bool(self.disabled), self.created_at)


QUOTA_USAGE: Any = UserItem.quota_usage
"""The usage in conditions. PynamoDB's types take a map's attributes for their values there, so it has no type."""

CHAT_COUNT: Any = UserItem.chat_count
"""The count of chats in conditions, without a type, as `QUOTA_USAGE`."""


class _ConnectionsByUser(GlobalSecondaryIndex["ConnectionItem"]):  # type: ignore[no-untyped-call]
    class Meta:
        index_name = "byUser"
        projection = IncludeProjection(["connectedAt"])

    user_id = UnicodeAttribute(hash_key=True, attr_name="userId")
    connection_id = UnicodeAttribute(attr_name="connectionId")
    connected_at = UTCDateTimeAttribute(attr_name="connectedAt")


class ConnectionItem(Table):
    """An open connection. `$disconnect`, the first 410 or its time to live deletes it."""

    class Meta:
        table_name = os.environ.get("CONNECTIONS_TABLE", "connections")

    connection_id = UnicodeAttribute(hash_key=True, attr_name="connectionId")
    user_id = UnicodeAttribute(null=True, attr_name="userId")
    chat_id = UnicodeAttribute(null=True, attr_name="chatId")
    connected_at = UTCDateTimeAttribute(attr_name="connectedAt")
    until = UTCDateTimeAttribute(null=True, attr_name="authenticatedUntil")
    expires_at = TTLAttribute(attr_name="expiresAt")
    by_user = _ConnectionsByUser()

    def connection(self) -> Connection:
        """Return the connection."""
        return Connection(self.connection_id, self.connected_at, self.user_id, self.chat_id, self.until)

    @classmethod
    def is_still(cls, connection: Connection) -> Condition:
        """Return the condition that a row has the user, the chat and the session with which it was read."""
        condition = cls.connection_id.exists()
        for attribute, value in (
            (cls.user_id, connection.user_id),
            (cls.chat_id, connection.chat_id),
            (cls.until, connection.until),
        ):
            condition &= attribute.does_not_exist() if value is None else attribute == value
        return condition


class TurnMap(MapAttribute[str, Any]):
    """The turn, on its chat's item."""

    message_id = UnicodeAttribute(attr_name="messageId")
    lease_until = UTCDateTimeAttribute(attr_name="leaseUntil")
    attempt = NumberAttribute()
    worker = UnicodeAttribute(null=True)
    cancelled = BooleanAttribute(null=True)
    replaces = UnicodeAttribute(null=True)
    acknowledging = BooleanAttribute(null=True)
    steps = NumberAttribute(null=True)
    since = NumberAttribute(null=True)
    # A map, not a set: DELETE takes an element out of a set only if that is an attribute of its own.
    awaits: MapAttribute[str, Any] = MapAttribute(null=True)  # type: ignore[no-untyped-call]
    waiting = BooleanAttribute(null=True)
    after = UnicodeAttribute(null=True)
    fork = UnicodeAttribute(null=True)

    @classmethod
    def of(cls, turn: Turn) -> Self:
        """Return the map of a turn."""
        return cls(
            message_id=turn.message_id,
            lease_until=turn.lease_until,
            attempt=turn.attempt,
            worker=turn.worker or None,
            cancelled=turn.cancelled or None,
            replaces=turn.replaces,
            acknowledging=turn.acknowledging or None,
            steps=turn.steps or None,
            since=turn.since or None,
            awaits=kept_awaits(turn.awaits) or None,
            waiting=turn.waiting or None,
            after=turn.after,
            fork=turn.fork,
        )

    def turn(self) -> Turn:
        """Return the turn."""
        awaits: MapAttribute[str, Any] | None = self.awaits
        return Turn(
            message_id=self.message_id,
            lease_until=self.lease_until,
            attempt=int(self.attempt),
            worker=self.worker or "",
            cancelled=bool(self.cancelled),
            replaces=self.replaces,
            acknowledging=bool(self.acknowledging),
            steps=int(self.steps or 0),
            since=int(self.since or 0),
            awaits=frozenset(awaits.as_dict() if awaits is not None else ()),  # type: ignore[no-untyped-call]
            waiting=bool(self.waiting),
            after=self.after,
            fork=self.fork,
        )


class _ChatsByUpdatedAt(GlobalSecondaryIndex["ChatItem"]):  # type: ignore[no-untyped-call]
    class Meta:
        index_name = "byUpdatedAt"
        projection = IncludeProjection(["title"])

    user_id = UnicodeAttribute(hash_key=True, attr_name="userId")
    updated_at = UTCDateTimeAttribute(range_key=True, attr_name="updatedAt")


class ChatItem(Table):
    """A chat. `title` is absent until a user or the first turn gives one.

    `subscribers` maps a connection's id to its subscription. Each is added and removed by an update of its own, so two
    connections never overwrite each other.
    """

    class Meta:
        table_name = os.environ.get("CHATS_TABLE", "chats")

    user_id = UnicodeAttribute(hash_key=True, attr_name="userId")
    chat_id = UnicodeAttribute(range_key=True, attr_name="chatId")
    title = UnicodeAttribute(null=True)
    message_count = NumberAttribute(attr_name="messageCount")
    subscribers: MapAttribute[str, Any] = MapAttribute()  # type: ignore[no-untyped-call]
    last_message_id = UnicodeAttribute(null=True, attr_name="lastMessageId")
    joins = NumberAttribute(null=True)
    turn = TurnMap(null=True)  # type: ignore[no-untyped-call]
    announcements = UnicodeSetAttribute(null=True)
    sizes = BinaryAttribute(null=True, legacy_encoding=False)
    assistant = UnicodeAttribute(null=True)
    leaf = UnicodeAttribute(null=True)
    branches = NumberAttribute(null=True)
    created_at = UTCDateTimeAttribute(attr_name="createdAt")
    updated_at = UTCDateTimeAttribute(attr_name="updatedAt")
    by_updated_at = _ChatsByUpdatedAt()

    def chat(self) -> Chat:
        """Return the chat."""
        turn: TurnMap | None = self.turn
        return Chat(
            user_id=self.user_id,
            chat_id=self.chat_id,
            title=self.title,
            message_count=int(self.message_count or 0),
            subscribers={name: _subscription(kept) for name, kept in self._subscribers()},
            last_message_id=self.last_message_id,
            turn=turn.turn() if turn is not None else None,
            joins=int(self.joins or 0),
            announcements=frozenset(_announcement(kept) for kept in self.announcements or ()),
            sizes=sizes_in(self.sizes, int(self.message_count or 0)),
            assistant=self.assistant,
            leaf=self.leaf,
            branches=int(self.branches or 0),
            created_at=self.created_at,
            updated_at=self.updated_at,
        )

    def _subscribers(self) -> Iterable[tuple[str, dict[str, Any]]]:
        return self.subscribers.as_dict().items()  # type: ignore[no-untyped-call, no-any-return]


def kept_awaits(call_ids: Iterable[str]) -> dict[str, bool]:
    """Return the map that a turn keeps of the calls which the user has still to answer."""
    return dict.fromkeys(sorted(call_ids), True)


TURN: Any = ChatItem.turn
"""The turn in conditions and updates, without a type, as `QUOTA_USAGE`."""


def kept_announcement(announcement: Announcement) -> str:
    """Return the text of an announcement, an element of a chat's set: a set needs no update of a map that may lack."""
    return f"{announcement.message_id} {announcement.lease_until.isoformat()} {announcement.replaces or ''}"


def _announcement(kept: str) -> Announcement:
    message_id, lease_until, replaces = kept.split(" ")
    return Announcement(message_id, datetime.fromisoformat(lease_until), replaces or None)


UNTIL = "until"
"""The key of the session's end in the map of a subscription."""


def kept_end(until: datetime | None) -> str | None:
    """Return the end of a session as the map of a subscription keeps it."""
    return until.isoformat() if until is not None else None


def kept_subscription(subscription: Subscription) -> dict[str, Any]:
    """Return the map of a subscription."""
    resume = subscription.resume
    kept: dict[str, Any] = {"join": subscription.join, "shown": subscription.shown, UNTIL: kept_end(subscription.until)}
    if resume is not None:
        point = {"messageId": resume.message_id, "offset": resume.offset, "attempt": resume.attempt}
        kept["resume"] = _without_none(point)
    return _without_none(kept)


def _subscription(kept: dict[str, Any]) -> Subscription:
    point = kept.get("resume")
    resume = Resume(point["messageId"], point["offset"], point.get("attempt")) if point else None
    until = kept.get(UNTIL)
    return Subscription(kept["join"], resume, kept.get("shown"), datetime.fromisoformat(until) if until else None)


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


class UsageMap(MapAttribute[str, int]):
    """The tokens of a reply."""

    prompt_tokens = NumberAttribute(attr_name="promptTokens")
    completion_tokens = NumberAttribute(attr_name="completionTokens")

    @classmethod
    def of(cls, usage: Usage) -> Self:
        """Return the map of a usage."""
        return cls(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens)

    def usage(self) -> Usage:
        """Return the usage."""
        return Usage(prompt_tokens=int(self.prompt_tokens), completion_tokens=int(self.completion_tokens))


class MessageItem(Table):
    """A message of a chat, under an id that sorts by time."""

    class Meta:
        table_name = os.environ.get("MESSAGES_TABLE", "messages")

    chat_id = UnicodeAttribute(hash_key=True, attr_name="chatId")
    message_id = UnicodeAttribute(range_key=True, attr_name="messageId")
    role = UnicodeAttribute()
    content = UnicodeAttribute()
    timestamp = UTCDateTimeAttribute()
    client_message_id = UnicodeAttribute(null=True, attr_name="clientMessageId")
    finish_reason = UnicodeAttribute(null=True, attr_name="finishReason")
    usage = UsageMap(null=True)  # type: ignore[no-untyped-call]
    attempt = NumberAttribute(null=True)
    page = NumberAttribute(null=True)
    parts = UnicodeAttribute(null=True)
    attachments = UnicodeAttribute(null=True)
    after = UnicodeAttribute(null=True)
    fork = UnicodeAttribute(null=True)
    feedback = UnicodeAttribute(null=True)

    @classmethod
    def of(cls, message: Message) -> Self:
        """Return the item of a message."""
        usage = message.usage
        return cls(
            message.chat_id,
            message.message_id,
            role=message.role.value,
            content=message.content,
            timestamp=message.timestamp,
            client_message_id=message.client_message_id,
            finish_reason=message.finish_reason and message.finish_reason.value,
            usage=UsageMap.of(usage) if usage else None,
            attempt=message.attempt if message.role is Role.ASSISTANT else None,
            page=message.page,
            parts=kept_parts(message.parts),
            attachments=kept_attachments(message.attachments),
            after=message.after,
            fork=message.fork,
            feedback=message.feedback and message.feedback.value,
        )

    @classmethod
    def messages(
        cls,
        chat_id: str,
        ids: Condition | None = None,
        *,
        forward: bool = True,
        limit: int | None = None,
        page_items: int | None = None,
        start: Any = None,
    ) -> ResultIterator[Message]:
        """Query messages of a chat, consistently: at most `limit`, and `page_items` with one request.

        `Model.query` makes an object of each item first, which takes five times as long. A prompt has up to a hundred.
        """
        options = {
            "range_key_condition": ids,
            "consistent_read": True,
            "scan_index_forward": forward,
            "limit": page_items,
            "exclusive_start_key": start,
        }
        return ResultIterator(cls._get_connection().query, (chat_id,), options, map_fn=message_in, limit=limit)

    @classmethod
    def find(cls, chat_id: str, message_id: str) -> Message | None:
        """Read one message consistently; None if it is not stored."""
        item = cls._get_connection().get_item(chat_id, message_id, consistent_read=True).get("Item")
        return message_in(item) if item else None


def message_in(item: Mapping[str, Mapping[str, Any]]) -> Message:
    """Return the message in an item of the table, as DynamoDB has it."""

    def text(name: str) -> str | None:
        value = item.get(name)
        return value["S"] if value else None

    def number(name: str) -> int | None:
        value = item.get(name)
        return int(value["N"]) if value else None

    finish_reason, feedback, usage = text("finishReason"), text("feedback"), item.get("usage")
    return Message(
        chat_id=item["chatId"]["S"],
        message_id=item["messageId"]["S"],
        role=Role(item["role"]["S"]),
        content=item["content"]["S"],
        timestamp=MessageItem.timestamp.deserialize(item["timestamp"]["S"]),  # type: ignore[no-untyped-call]
        client_message_id=text("clientMessageId"),
        finish_reason=FinishReason(finish_reason) if finish_reason else None,
        usage=_usage_in(usage["M"]) if usage else None,
        attempt=number("attempt") or 1,
        page=number("page"),
        parts=parts_in(text("parts")),
        attachments=attachments_in(text("attachments")),
        after=text("after"),
        fork=text("fork"),
        feedback=Rating(feedback) if feedback else None,
    )


def _usage_in(value: Mapping[str, Mapping[str, str]]) -> Usage:
    return Usage(prompt_tokens=int(value["promptTokens"]["N"]), completion_tokens=int(value["completionTokens"]["N"]))


class SentItem(Table):
    """A marker that a `clientMessageId` was used, with the id of the message that it was stored as.

    Markers are in a partition of their own beside the chat's messages. They never expire: the same message, sent again
    a year later, is still the same message.
    """

    class Meta:
        table_name = os.environ.get("MESSAGES_TABLE", "messages")

    partition = UnicodeAttribute(hash_key=True, attr_name="chatId")
    client_message_id = UnicodeAttribute(range_key=True, attr_name="messageId")
    sent_as = UnicodeAttribute(attr_name="sentAs")

    @staticmethod
    def partition_of(chat_id: str) -> str:
        """Return the partition of a chat's markers. No chat's id contains `#`."""
        return f"{chat_id}#sent"


class TokensItem(Table):
    """The model's tokens that a user has used on one day, and the reservations among them.

    They are in a partition of their own beside the messages, not on the user's item: a reply must not wait for writes
    of that item, nor fail because it is gone. And every day begins at 0 by itself.

    Reservations are texts in a set: a write can add one and remove one where nothing was before, and say in its
    condition which one it means.
    """

    class Meta:
        table_name = os.environ.get("MESSAGES_TABLE", "messages")

    partition = UnicodeAttribute(hash_key=True, attr_name="chatId")
    day = UnicodeAttribute(range_key=True, attr_name="messageId")
    tokens = NumberAttribute()
    reservations = UnicodeSetAttribute(null=True)

    @staticmethod
    def partition_of(user_id: str) -> str:
        """Return the partition of a user's days. No chat's id begins with `#`."""
        return f"#tokens#{user_id}"

    @classmethod
    def of_day(cls, user_id: str, day: str) -> Self:
        """Return the item of a user's day, without what is in it."""
        return cls(cls.partition_of(user_id), day)

    def use(self) -> TokenUse:
        """Return the use of tokens."""
        return TokenUse(int(self.tokens), frozenset(_reservation(kept, self.day) for kept in self.reservations or ()))


def kept_reservation(reservation: Reservation) -> str:
    """Return the text of a reservation. Its day is the item's."""
    return f"{reservation.attempt} {reservation.tokens} {reservation.until}"


def _reservation(kept: str, day: str) -> Reservation:
    attempt, tokens, until = kept.split()
    return Reservation(attempt, day, int(tokens), int(until))
