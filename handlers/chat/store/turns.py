"""Turns: the writes that accept a message, claim, keep and seal a turn, and those of announcements.

Every write has a condition on the chat's turn. So a worker that was overtaken writes nothing, and no write brings a
deleted chat back.
"""

from __future__ import annotations

from datetime import datetime

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from handlers.chat.limits.policy import QuotaChange
from handlers.chat.protocol.sizes import arrived
from handlers.chat.records import Acceptance, Announcement, Branch, Chat, Fork, Message, Turn
from handlers.chat.store.branches import BranchItem, ForkItem
from handlers.chat.store.chats import has_branches_of, update_chat
from handlers.chat.store.kept_sizes import kept_sizes
from handlers.chat.store.tables import TURN, ChatItem, MessageItem, SentItem, TurnMap, kept_announcement
from handlers.chat.store.users import quota_write
from handlers.chat.store.writes import Write, putting, refused, transact, updating


class Turns:
    """The turns of chats. Each is an attribute of its chat's item."""

    def accept(
        self, chat: Chat, message: Message, turn: Turn, change: QuotaChange | None = None, fork: Fork | None = None
    ) -> Acceptance:
        """Store a user's message and begin the turn that answers it, all or nothing. `chat` is the chat as it was read.

        The chat has changed if another turn runs, or if it has another last message, another active path or another
        subscription by now. `change` is what the message takes from the user's quotas, None if there are none. `fork`
        is that of the message, with it, if it has siblings.
        """
        sized, known = _sized(chat, message)
        writes: list[Write] = [putting(sized, MessageItem.message_id.does_not_exist()), *_branching(message, fork)]
        if message.client_message_id is not None:
            # In the same transaction: a message that is sent again finds the marker, however late it comes.
            partition = SentItem.partition_of(message.chat_id)
            marker = SentItem(partition, message.client_message_id, sent_as=message.message_id)
            writes.append(putting(marker, SentItem.client_message_id.does_not_exist()))
        actions = [*_begun(turn), ChatItem.message_count.add(1), ChatItem.updated_at.set(message.timestamp), known]
        actions += _active(message)
        # Nobody else tells the other devices of the message, so all of them must be known: one that subscribed after
        # the chat was read was shown the chat without it.
        same_devices = ChatItem.joins == chat.joins if chat.joins else ChatItem.joins.does_not_exist()
        condition = _is_free(chat) & same_devices
        writes.append(updating(ChatItem(chat.user_id, chat.chat_id), actions, condition))
        # In the same transaction: a message that is not stored takes nothing.
        quota = [updating(*quota_write(chat.user_id, change))] if change is not None else []
        failed = refused([*writes, *quota])
        if not failed:
            return Acceptance.STORED
        return Acceptance.QUOTA_CHANGED if failed == quota else Acceptance.CHAT_CHANGED

    def begin(self, chat: Chat, turn: Turn, now: datetime) -> bool:
        """Begin a turn without a new message. Returns False if the chat is no longer as it was read, as in `accept`."""
        actions = [*_begun(turn), ChatItem.updated_at.set(now)]
        return update_chat(chat.user_id, chat.chat_id, actions, _is_free(chat)) is not None

    def select(self, chat: Chat, fork: Fork, leaf: str | None) -> bool:
        """Make another path the active one, that which ends with `leaf`: None for the newest message.

        `fork` is to be kept with what was left. Returns False if the chat is no longer as it was read, as in `accept`.
        """
        actions: list[Action] = [ChatItem.leaf.set(leaf) if leaf else ChatItem.leaf.remove(), ChatItem.branches.add(1)]
        # The sizes are those of the path that was left.
        changed = updating(ChatItem(chat.user_id, chat.chat_id), [*actions, ChatItem.sizes.remove()], _is_free(chat))
        return transact([changed, putting(ForkItem.of(chat.chat_id, fork))])

    def acknowledged(self, user_id: str, chat_id: str, message_id: str) -> None:
        """Note that the posts of the message that a turn answers have ended. Does nothing if the turn is over."""
        update_chat(user_id, chat_id, [TURN.acknowledging.remove()], TURN.message_id == message_id)

    def claim(self, user_id: str, chat_id: str, turn: Turn, worker: str, lease_until: datetime) -> Chat | None:
        """Give the turn's next attempt to a worker, and return the chat. Returns None if the turn has moved on.

        `turn` is the turn as the worker knows it: its id, and the attempt before this one.
        """
        # The fence: every later write of this worker names this attempt. The next claim raises it, and the writes of a
        # worker that only slept fail from then on.
        actions = [TURN.attempt.set(turn.attempt + 1), TURN.worker.set(worker), TURN.lease_until.set(lease_until)]
        return update_chat(user_id, chat_id, actions, is_at(turn))

    def extend(self, user_id: str, chat_id: str, turn: Turn, lease_until: datetime) -> Chat | None:
        """Move the end of a turn's lease, and return the chat. Returns None if the turn has moved on."""
        return update_chat(user_id, chat_id, [TURN.lease_until.set(lease_until)], is_at(turn))

    def take_over(self, user_id: str, chat_id: str, turn: Turn, lease_until: datetime) -> bool:
        """Extend a lease that ran out. Returns True to one caller, if several try."""
        condition = (TURN.message_id == turn.message_id) & (TURN.lease_until == turn.lease_until)
        return update_chat(user_id, chat_id, [TURN.lease_until.set(lease_until)], condition) is not None

    def cancel(self, user_id: str, chat_id: str, message_id: str) -> bool:
        """Mark the running turn as cancelled. Returns False if it is another turn, or has ended."""
        return update_chat(user_id, chat_id, [TURN.cancelled.set(True)], TURN.message_id == message_id) is not None

    def seal(
        self,
        chat: Chat,
        reply: Message,
        turn: Turn,
        title: str | None,
        announcement: Announcement,
        fork: Fork | None = None,
    ) -> bool:
        """Store the reply of a turn and end the turn, all or nothing. Returns False if the turn moved on.

        `chat` is the chat as it was when the turn was claimed. `title` goes to a chat that has none. `announcement`
        stays until `announced`. `fork` is that of the reply, with it, if it has siblings.
        """
        sized, known = _sized(chat, reply, turn.replaces)
        writes: list[Write] = [putting(sized, MessageItem.message_id.does_not_exist()), *_branching(reply, fork)]
        actions = [
            ChatItem.turn.remove(),
            # After a crash, this tells the next caller what is left to announce. It is beside the turn, because the
            # next message may begin a new turn before the announcement has ended.
            ChatItem.announcements.add({kept_announcement(announcement)}),
            ChatItem.message_count.add(1),
            known,
            *_active(reply),
        ]
        if title is not None:
            actions.append(ChatItem.title.set(ChatItem.title | title))
        writes.append(updating(ChatItem(chat.user_id, chat.chat_id), actions, is_at(turn)))
        return transact(writes)

    def take_over_announcement(self, chat: Chat, old: Announcement, new: Announcement) -> bool:
        """Replace an announcement whose lease ran out. Returns True to one caller, if several try.

        `chat` is the chat as it was read. Returns False also if another of its announcements has changed since then.
        """
        kept = {kept_announcement(each) for each in chat.announcements}
        then = {kept_announcement(each) for each in (chat.announcements - {old}) | {new}}
        condition = ChatItem.announcements == kept
        return update_chat(chat.user_id, chat.chat_id, [ChatItem.announcements.set(then)], condition) is not None

    def announced(self, user_id: str, chat_id: str, announcement: Announcement) -> None:
        """Remove an announcement that has been made. Does nothing if it is gone, or its chat, or was taken over."""
        made: list[Action] = [ChatItem.announcements.delete({kept_announcement(announcement)})]
        update_chat(user_id, chat_id, made, ChatItem.chat_id.exists())


def _sized(chat: Chat, message: Message, replaces: str | None = None) -> tuple[MessageItem, Action]:
    """Return the item of a new message, and the change of its chat's sizes. `chat` is the chat without the message.

    Nobody else changes the sizes in between: only who begins a turn does, and who ends this one.
    """
    sized, sizes, count = arrived(chat, message, replaces)
    return MessageItem.of(sized), ChatItem.sizes.set(kept_sizes(sizes, count))


def _begun(turn: Turn) -> list[Action]:
    return [ChatItem.turn.set(TurnMap.of(turn)), ChatItem.last_message_id.set(turn.message_id)]


def _branching(message: Message, fork: Fork | None) -> list[Write]:
    """Return the writes beside that of a message: none, unless it begins a branch."""
    # They need no condition: that of the chat holds for the whole transaction.
    writes = [putting(ForkItem.of(message.chat_id, fork))] if fork is not None else []
    if message.after is not None:
        writes.append(putting(BranchItem.of(message.chat_id, Branch(message.message_id, message.after))))
    return writes


def _active(message: Message) -> list[Action]:
    """Return the changes of a chat by which the path of a new message becomes the active one."""
    return [ChatItem.leaf.remove(), ChatItem.branches.add(1)] if message.after is not None else []


def _is_free(chat: Chat) -> Condition:
    """Hold if the chat exists, no reply is being made in it, and its messages and its active path are as they were."""
    last = ChatItem.last_message_id
    same: Condition = last == chat.last_message_id if chat.last_message_id is not None else last.does_not_exist()
    condition: Condition = ChatItem.turn.does_not_exist() & same & has_branches_of(chat) & ChatItem.chat_id.exists()
    return condition


def is_at(turn: Turn) -> Condition:
    """Return the condition that the turn is still this one, at this attempt."""
    condition: Condition = (TURN.message_id == turn.message_id) & (TURN.attempt == turn.attempt)
    return condition
