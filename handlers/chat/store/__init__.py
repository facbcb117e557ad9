"""What is kept: users, connections, chats and their messages, in DynamoDB.

Callers see plain values, never PynamoDB's. A write with a condition returns False where the condition does not hold.
Whoever gets False, or a `StoreError`, may still have written: an answer can be lost on its way. `turns` reads back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from pynamodb.exceptions import DeleteError, PutError, PynamoDBException, TransactWriteError, UpdateError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

from handlers.chat.concurrency import Runtime
from handlers.chat.limits.policy import Spent, day_of
from handlers.chat.records import Chat, Connection, Message, Subscription, Turn, User
from handlers.chat.store.tables import (
    CONNECTION,
    SPENT,
    TURN,
    ChatItem,
    ConnectionItem,
    MessageItem,
    SentItem,
    SpentMap,
    TokensItem,
    TurnMap,
    UserItem,
    kept_subscription,
)

StoreError = PynamoDBException
"""DynamoDB did not do what it was asked to, after the client's own retries."""

CONNECTION_LIFETIME = timedelta(hours=2, minutes=10)
"""API Gateway ends a connection after 2 hours; what still has a row then missed its `$disconnect`."""

CONFLICT_SECONDS = (0.03, 0.075, 0.15)
"""Pauses at most, after a transaction that another one was in the way of."""

_PAGE = 50
_CONDITION_FAILED = "ConditionalCheckFailedException"
_CONDITIONS_FAILED, _CONFLICT = "ConditionalCheckFailed", "TransactionConflict"


class Store:
    """The four tables. Every operation may raise `StoreError`."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    # Users

    def user(self, user_id: str) -> User | None:
        """Return a user, None for one who is not known."""
        try:
            return UserItem.get(user_id).user()
        except UserItem.DoesNotExist:
            return None

    def add_user(self, user: User) -> bool:
        """Keep a new user. Returns False where there is one with this id."""
        roles = sorted(user.roles) or None
        item = UserItem(
            user.user_id, name=user.name, roles=roles, disabled=user.disabled or None, created_at=user.created_at
        )
        try:
            item.save(UserItem.user_id.does_not_exist())
        except PutError as error:
            if error.cause_response_code != _CONDITION_FAILED:
                raise
            return False
        return True

    def set_disabled(self, user_id: str, disabled: bool) -> bool:
        """Lock a user out, or let them in again. Returns False for one who is not known."""
        return self._change_user(user_id, [UserItem.disabled.set(True) if disabled else UserItem.disabled.remove()])

    def set_name(self, user_id: str, name: str) -> bool:
        """Give a user another name. Returns False for one who is not known."""
        return self._change_user(user_id, [UserItem.name.set(name)])

    def set_roles(self, user_id: str, roles: Iterable[str]) -> bool:
        """Give a user these roles and no others. Returns False for one who is not known."""
        return self._change_user(user_id, [UserItem.roles.set(sorted(roles))])

    def _change_user(self, user_id: str, actions: list[Action]) -> bool:
        return _update(UserItem(user_id), actions, UserItem.user_id.exists())

    # What users have used up

    def spent(self, user_id: str) -> Spent | None:
        """Return what a user has used up, read consistently; None for an unknown user."""
        try:
            item = UserItem.get(user_id, consistent_read=True)
        except UserItem.DoesNotExist:
            return None
        kept: SpentMap | None = item.spent
        return kept.spent() if kept is not None else Spent()

    def spend(self, user_id: str, before: Spent, after: Spent) -> bool:
        """Replace what a user has used up. Returns False where it is not as `before` says any more."""
        if before == Spent():
            unchanged = SPENT.does_not_exist()
        else:
            unchanged = (SPENT.day == before.day) & (SPENT.messages == before.messages)
        return _update(
            UserItem(user_id), [UserItem.spent.set(SpentMap.of(after))], UserItem.user_id.exists() & unchanged
        )

    def tokens_of(self, user_id: str, day: str) -> int:
        """Return how many tokens of the model a user's replies took on a day (an ISO date), read consistently."""
        try:
            item = TokensItem.get(TokensItem.partition_of(user_id), day, consistent_read=True)
        except TokensItem.DoesNotExist:
            return 0
        return int(item.tokens)

    # Connections

    def add_connection(self, connection: Connection) -> None:
        """Keep a new connection."""
        ConnectionItem(
            connection_id=connection.connection_id,
            user_id=connection.user_id,
            connected_at=connection.connected_at,
            until=connection.until,
            expires_at=connection.connected_at + CONNECTION_LIFETIME,
        ).save()

    def connection(self, connection_id: str) -> Connection | None:
        """Return a connection, None where it has no row (any more)."""
        try:
            item = ConnectionItem.get(connection_id, consistent_read=True)
        except ConnectionItem.DoesNotExist:
            return None
        return Connection(item.connection_id, item.connected_at, item.user_id, item.chat_id, item.until)

    def bind_connection(
        self, connection_id: str, user_id: str, chat_id: str | None, until: datetime | None = None
    ) -> bool:
        """Say whose a connection is, which chat it sees and, with a new token, until when that is good.

        Returns False where the connection is gone.
        """
        renewed = [ConnectionItem.until.set(until)] if until else []
        chat = ConnectionItem.chat_id.set(chat_id) if chat_id else ConnectionItem.chat_id.remove()
        return _update(
            ConnectionItem(connection_id),
            [ConnectionItem.user_id.set(user_id), chat, *renewed],
            ConnectionItem.connection_id.exists(),
        )

    def forget_connection(self, connection_id: str) -> None:
        """Take a connection out of its chat and forget it. Does nothing where it is forgotten already."""
        connection = self.connection(connection_id)
        if connection is None:
            return
        if connection.user_id and connection.chat_id:
            self.unsubscribe(connection.user_id, connection.chat_id, connection_id)
        ConnectionItem(connection_id).delete()

    def connections_of(self, user_id: str) -> Iterator[str]:
        """Yield the ids of a user's connections, as the index knows them: some milliseconds late."""
        for item in ConnectionItem.by_user.query(user_id):
            yield item.connection_id

    def open_connections_of(self, user_id: str, now: datetime) -> list[str]:
        """Return the ids of a user's connections that may still be open, the oldest first, as the index knows them."""
        rows = [(item.connected_at, item.connection_id) for item in ConnectionItem.by_user.query(user_id)]
        return [
            connection_id for connected_at, connection_id in sorted(rows) if connected_at + CONNECTION_LIFETIME > now
        ]

    def connections_in(self, segment: int, segments: int) -> Iterator[str]:
        """Yield the ids of all connections in one segment (from 0) of the table."""
        for item in ConnectionItem.scan(segment=segment, total_segments=segments, attributes_to_get=["connectionId"]):
            yield item.connection_id

    # Chats

    def add_chat(self, chat: Chat, now: datetime) -> Chat:
        """Keep a new chat and return it; where one with this id exists, return that one unchanged."""
        item = ChatItem(
            chat.user_id,
            chat.chat_id,
            title=chat.title,
            message_count=0,
            subscribers={name: kept_subscription(each) for name, each in chat.subscribers.items()},
            created_at=now,
            updated_at=now,
        )
        try:
            item.save(ChatItem.chat_id.does_not_exist())
        except PutError as error:
            existing = self.chat(chat.user_id, chat.chat_id)
            if error.cause_response_code != _CONDITION_FAILED or existing is None:
                raise
            return existing
        return chat

    def chat(self, user_id: str, chat_id: str) -> Chat | None:
        """Return a chat of this user, read consistently; None for one that is not there or not theirs."""
        try:
            item = ChatItem.get(user_id, chat_id, consistent_read=True)
        except ChatItem.DoesNotExist:
            return None
        return item.chat()

    def rename(self, user_id: str, chat_id: str, title: str) -> Chat | None:
        """Give a chat a title, and return it; None where it is not there or not theirs."""
        return self._update_chat(user_id, chat_id, [ChatItem.title.set(title)], ChatItem.chat_id.exists())

    def delete_chat(self, user_id: str, chat_id: str, created_at: datetime) -> Chat | None:
        """Delete a chat and return it as it was; None where it is gone, or is another one, made later under its id.

        From then on nothing can be written to it: every write has a condition on this item.
        """
        try:
            answer = ChatItem._get_connection().delete_item(
                user_id, chat_id, condition=ChatItem.created_at == created_at, return_values="ALL_OLD"
            )
        except DeleteError as error:
            if error.cause_response_code != _CONDITION_FAILED:
                raise
            return None
        return ChatItem.from_raw_data(answer["Attributes"]).chat()

    def subscribe(self, user_id: str, chat_id: str, connection_id: str, subscription: Subscription) -> Chat | None:
        """Let a connection see a chat, and return the chat as it is then; None where it is gone.

        None also where a reply has been stored that is about to be announced, unless the subscription says that the
        connection was shown it: so a worker that seals finds every connection to which it has to announce.
        """
        entry = ChatItem.subscribers[connection_id].set(kept_subscription(subscription))
        condition = ChatItem.chat_id.exists()
        if subscription.shown is None:
            condition &= TURN.sealed.does_not_exist()
        return self._update_chat(user_id, chat_id, [entry], condition)

    def unsubscribe(self, user_id: str, chat_id: str, connection_id: str) -> None:
        """Let a connection no longer see a chat. Does nothing where the chat is gone."""
        entry = ChatItem.subscribers[connection_id].remove()
        self._update_chat(user_id, chat_id, [entry], ChatItem.chat_id.exists())

    def _update_chat(self, user_id: str, chat_id: str, actions: list[Action], condition: Condition) -> Chat | None:
        item = ChatItem(user_id, chat_id)
        return item.chat() if _update(item, actions, condition) else None

    # Messages

    def messages(self, chat_id: str, before: str | None = None) -> Iterator[Message]:
        """Yield a chat's messages, the newest first, those older than `before` where it is given.

        Lazy: a page of the table is read when the caller gets there.
        """
        older = MessageItem.message_id < before if before else None
        for item in MessageItem.query(chat_id, older, consistent_read=True, scan_index_forward=False, page_size=_PAGE):
            yield item.message()

    def message(self, chat_id: str, message_id: str) -> Message | None:
        """Return one message, None where it is not stored."""
        try:
            return MessageItem.get(chat_id, message_id, consistent_read=True).message()
        except MessageItem.DoesNotExist:
            return None

    def sent_as(self, chat_id: str, client_message_id: str) -> str | None:
        """Return the id of the message that was stored under a client's own id, None where there is none."""
        try:
            marker = SentItem.get(SentItem.partition_of(chat_id), client_message_id, consistent_read=True)
        except SentItem.DoesNotExist:
            return None
        return str(marker.sent_as)

    # Turns. Every update has a condition on the chat's turn: an update must not bring the deleted back.

    def accept(self, user_id: str, message: Message, turn: Turn, previous: str | None) -> bool:
        """Store a user's message and begin the turn that answers it, all or nothing.

        Nothing is written where another turn runs, where `previous` is not the chat's last message id any more, or
        where the message's client id was used before.
        """
        writes: list[Write] = [_put(MessageItem.of(message), MessageItem.message_id.does_not_exist())]
        if message.client_message_id is not None:
            partition = SentItem.partition_of(message.chat_id)
            marker = SentItem(partition, message.client_message_id, sent_as=message.message_id)
            writes.append(_put(marker, SentItem.client_message_id.does_not_exist()))
        actions = [
            *_begun(turn),
            ChatItem.message_count.add(1),
            ChatItem.updated_at.set(message.timestamp),
        ]
        writes.append(_change(ChatItem(user_id, message.chat_id), actions, _free(previous)))
        return _transact(writes, self._runtime)

    def begin(self, user_id: str, chat_id: str, turn: Turn, previous: str | None) -> bool:
        """Begin a turn without a new message, under the conditions of `accept`."""
        return self._update_chat(user_id, chat_id, _begun(turn), _free(previous)) is not None

    def claim(self, user_id: str, chat_id: str, turn: Turn, worker: str, lease_until: datetime) -> Chat | None:
        """Make a worker the one that is at the turn, and return the chat; None where the turn has moved on.

        `turn` is the turn as the worker knows it: its id, and the attempt before this one.
        """
        actions = [
            TURN.attempt.set(turn.attempt + 1),
            TURN.worker.set(worker),
            TURN.lease_until.set(lease_until),
        ]
        return self._update_chat(user_id, chat_id, actions, _is_at(turn))

    def extend(self, user_id: str, chat_id: str, turn: Turn, lease_until: datetime) -> bool:
        """Move the end of a turn's lease. Returns False where the turn has moved on."""
        actions = [TURN.lease_until.set(lease_until)]
        return self._update_chat(user_id, chat_id, actions, _is_at(turn)) is not None

    def take_over(self, user_id: str, chat_id: str, turn: Turn, lease_until: datetime) -> bool:
        """Extend the lease of a turn whose lease ran out: of several that try, one is told True."""
        condition = (TURN.message_id == turn.message_id) & (TURN.lease_until == turn.lease_until)
        actions = [TURN.lease_until.set(lease_until)]
        return self._update_chat(user_id, chat_id, actions, condition) is not None

    def cancel(self, user_id: str, chat_id: str, message_id: str) -> bool:
        """Mark the running turn as cancelled. Returns False where it is another, or has ended."""
        condition = (TURN.message_id == message_id) & TURN.sealed.does_not_exist()
        return self._update_chat(user_id, chat_id, [TURN.cancelled.set(True)], condition) is not None

    def seal(
        self, user_id: str, reply: Message, turn: Turn, title: str | None, lease_until: datetime, tokens: int = 0
    ) -> bool:
        """Store the reply of a turn and mark the turn as sealed, all or nothing.

        A title goes to a chat that has none. A reply that this one replaces is deleted. Until `lease_until` the
        worker has time to announce the reply. `tokens` are added to what the user's replies took that day.
        """
        writes: list[Write] = [_put(MessageItem.of(reply), MessageItem.message_id.does_not_exist())]
        if tokens:
            item = TokensItem(TokensItem.partition_of(user_id), day_of(reply.timestamp))
            writes.append(_change(item, [TokensItem.tokens.add(tokens)], None))
        if turn.replaces is not None:
            writes.append(_delete(MessageItem(reply.chat_id, turn.replaces)))
        actions = [
            TURN.sealed.set(True),
            TURN.lease_until.set(lease_until),
            ChatItem.message_count.add(0 if turn.replaces else 1),
            ChatItem.updated_at.set(reply.timestamp),
        ]
        if title is not None:
            actions.append(ChatItem.title.set(ChatItem.title | title))
        writes.append(_change(ChatItem(user_id, reply.chat_id), actions, _is_at(turn)))
        return _transact(writes, self._runtime)

    def clear(self, user_id: str, chat_id: str, message_id: str) -> bool:
        """Forget a sealed turn: its reply has been announced. Returns False where it is another's place already."""
        condition = (TURN.message_id == message_id) & TURN.sealed.exists()
        return self._update_chat(user_id, chat_id, [ChatItem.turn.remove()], condition) is not None


def _begun(turn: Turn) -> list[Action]:
    return [ChatItem.turn.set(TurnMap.of(turn)), ChatItem.last_message_id.set(turn.message_id)]


def _free(previous: str | None) -> Condition:
    """Hold where the chat exists, no reply is being made in it, and its last message id is still this one."""
    last = ChatItem.last_message_id
    same: Condition = last == previous if previous is not None else last.does_not_exist()
    free: Condition = ChatItem.turn.does_not_exist() | TURN.sealed.exists()
    condition: Condition = free & same & ChatItem.chat_id.exists()
    return condition


def _is_at(turn: Turn) -> Condition:
    """Hold where the turn is still this one, at this attempt, and not sealed."""
    condition: Condition = (TURN.message_id == turn.message_id) & (TURN.attempt == turn.attempt)
    condition &= TURN.sealed.does_not_exist()
    return condition


Write = Callable[[TransactWrite], None]
"""One write of a transaction."""


def _put(item: Model, condition: Condition) -> Write:
    return lambda transaction: transaction.save(item, condition)


def _delete(item: Model) -> Write:
    return lambda transaction: transaction.delete(item)


def _change(item: Model, actions: Sequence[Action], condition: Condition | None) -> Write:
    return lambda transaction: transaction.update(item, list(actions), condition)


def _transact(writes: Sequence[Write], runtime: Runtime) -> bool:
    """Write all or nothing. Returns False where a condition does not hold."""

    def transaction() -> None:
        with TransactWrite(connection=CONNECTION) as write:
            for each in writes:
                each(write)

    try:
        _retry_conflicts(transaction, runtime)
    except TransactWriteError as error:
        if not any(reason and reason.code == _CONDITIONS_FAILED for reason in error.cancellation_reasons):
            raise
        return False
    return True


def _retry_conflicts(transaction: Callable[[], None], runtime: Runtime) -> None:
    """Run a transaction again, up to three times, where another one was at the same item."""
    for pause in CONFLICT_SECONDS:
        try:
            return transaction()
        except TransactWriteError as error:
            if not any(reason and reason.code == _CONFLICT for reason in error.cancellation_reasons):
                raise
        runtime.sleep(pause * runtime.jitter())
    return transaction()


def _update(item: Model, actions: list[Action], condition: Condition) -> bool:
    try:
        item.update(actions, condition)
    except UpdateError as error:
        if error.cause_response_code != _CONDITION_FAILED:
            raise
        return False
    return True
