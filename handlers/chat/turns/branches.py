"""Branches of a chat: an edited message, a reply made anew, and the choice of the path that is shown.

A path is what one conversation consists of: each message after the one before it. A chat whose messages were edited, or
replies made anew, is a tree; one of its paths is active. `leaf` on the chat's item says where that ends. Branches
change only while no turn runs, and only as the chat was read: its item counts the changes (`Chat.branches`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from handlers.chat import ids
from handlers.chat.concurrency import Runtime
from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.records import NOTHING, Branch, Chat, Fork, Message, Role, Turn
from handlers.chat.store import Store
from handlers.chat.turns import lifecycle
from handlers.chat.turns.lifecycle import LEASE, MAX_TRIES, Handover, Place

MAX_SIBLINGS = 50
"""The most messages that come after the same one. Their fork is one item, of 80 bytes for each."""


def edited_place(store: Store, chat: Chat, message_id: str) -> Place:
    """Return the place of a message that takes the place of another one on the active path.

    Raises `Refused` with `nothing_to_edit` if that is no message of the user there, or with `too_many_branches`.
    """
    found = store.messages.with_previous(chat.chat_id, message_id)
    if not found or found[0].role is not Role.USER or not is_shown(store, chat, message_id):
        raise Refused(ErrorCode.NOTHING_TO_EDIT)
    return _place(store, chat, *found)


def regenerate(store: Store, chat: Chat, runtime: Runtime) -> Handover:
    """Begin a turn whose reply replaces the last one of the active path.

    Raises `Refused` with `busy`, `nothing_to_regenerate`, `too_many_branches` or `chat_not_found`.
    """
    for _ in range(MAX_TRIES):
        lifecycle.check_free(chat)
        found = store.messages.with_previous(chat.chat_id, chat.leaf or chat.last_message_id)
        if not found or found[0].role is not Role.ASSISTANT:
            raise Refused(ErrorCode.NOTHING_TO_REGENERATE)
        last, place = found[0], _place(store, chat, *found)
        reply_id, now = ids.after(chat.last_message_id, runtime.new_id()), runtime.now()
        turn = Turn(reply_id, now + LEASE, replaces=last.message_id, after=place.after, fork=last.fork_id)
        if lifecycle.begin(store, chat, turn, now):
            return lifecycle.handover_of(chat, turn)
        chat = lifecycle.find_chat(store, chat.user_id, chat.chat_id)
    raise Refused(ErrorCode.BUSY)


def select(store: Store, chat: Chat, message_id: str) -> Chat:
    """Make the path of a message's sibling on the active path the one of the message, and return the chat as it was.

    That path ends where it ended when it was left. Raises `Refused` with `busy`, `nothing_to_select` or
    `chat_not_found`.
    """
    for _ in range(MAX_TRIES):
        lifecycle.check_free(chat)
        message = store.messages.get(chat.chat_id, message_id)
        fork = store.branches.fork(chat.chat_id, message.fork_id) if message and chat.branches else None
        # A fork on another path is refused: what is left is known of the forks on the active one only.
        active = on_path(store, chat, fork.siblings) if fork else frozenset()
        if fork is None or not active:
            raise Refused(ErrorCode.NOTHING_TO_SELECT)
        if message_id in active or _selected(store, chat, _left(fork, min(active), chat), fork.leaves[message_id]):
            return chat
        chat = lifecycle.find_chat(store, chat.user_id, chat.chat_id)
    raise Refused(ErrorCode.BUSY)


def end_of_page(store: Store, chat: Chat, before: str | None) -> tuple[str | None, str | None]:
    """Return where a page of a path ends: before a message, or with one. The page is of messages before `before`.

    It is of the path of `before`, whichever is active, so that the pages of one list fit together. Without `before` it
    is of the active path. If the chat has no branches, nothing is read.
    """
    if before is None:
        return None, chat.leaf
    message = store.messages.get(chat.chat_id, before) if chat.branches else None
    return before, message.after if message else None


def after(store: Store, chat: Chat, message_id: str, page_items: int) -> Iterator[Message]:
    """Yield the messages of the active path with higher ids than this one, the oldest of them first."""
    if not chat.branches:
        yield from store.messages.after(chat.chat_id, message_id, page_items)
        return
    newer: list[tuple[str, str]] = []
    for first, last in runs(store, chat):
        if last > message_id:
            newer.append((first, last))
        if first <= message_id:
            break
    for first, last in reversed(newer):
        yield from store.messages.after(chat.chat_id, message_id, page_items, first, last)


def siblings(store: Store, chat: Chat, messages: Collection[Message]) -> dict[str, tuple[str, ...]]:
    """Return the siblings of those messages that have some, by the ids of the messages."""
    if not chat.branches or not messages:
        return {}
    keys = {message.message_id: message.fork_id for message in messages}
    forks = store.branches.forks(chat.chat_id, min(keys.values()), max(keys.values()))
    return {message_id: forks[key].siblings for message_id, key in keys.items() if key in forks}


def is_shown(store: Store, chat: Chat, message_id: str) -> bool:
    """Return True if a stored message is on the active path."""
    return message_id in on_path(store, chat, (message_id,))


def on_path(store: Store, chat: Chat, message_ids: Collection[str]) -> frozenset[str]:
    """Return those of some stored messages that are on the active path. Reads nothing if the chat has no branches."""
    if not chat.branches:
        return frozenset(message_ids)
    found: set[str] = set()
    for first, last in runs(store, chat):
        found |= {each for each in message_ids if first <= each <= last}
        if first <= min(message_ids, default=""):
            break
    return frozenset(found)


def runs(store: Store, chat: Chat) -> Iterator[tuple[str, str]]:
    """Yield the runs of the active path, the newest first: the ids between which all messages are on it.

    It reads the branches as far as it is asked.
    """
    leaf = _leaf(chat)
    return runs_of(leaf, store.branches.newest_first(chat.chat_id, leaf) if chat.branches else ())


def runs_of(leaf: str, newest_first: Iterable[Branch]) -> Iterator[tuple[str, str]]:
    """Yield the runs of the path that ends with `leaf`. The branches are those that begin there or before."""
    for branch in newest_first:
        if branch.first <= leaf:
            yield branch.first, leaf
            if branch.after == NOTHING:
                return
            leaf = branch.after
    yield "", leaf


def _place(store: Store, chat: Chat, replaced: Message, previous: Message | None = None) -> Place:
    """Return the place of a new sibling of a message. `previous` is the message with the next lower id."""
    fork = (store.branches.fork(chat.chat_id, replaced.fork_id) if chat.branches else None) or Fork(
        replaced.fork_id, {}
    )
    if len(fork.leaves) >= MAX_SIBLINGS:
        raise Refused(ErrorCode.TOO_MANY_BRANCHES)
    after = replaced.after or (previous.message_id if previous else NOTHING)
    return Place(after, _left(fork, replaced.message_id, chat))


def _left(fork: Fork, message_id: str, chat: Chat) -> Fork:
    """Return a fork that knows where the active path ends. It goes through this message."""
    return replace(fork, leaves={**fork.leaves, message_id: _leaf(chat)})


def _leaf(chat: Chat) -> str:
    # A chat without messages has no id: all others are above it.
    return chat.leaf or chat.last_message_id or ""


def _selected(store: Store, chat: Chat, fork: Fork, leaf: str) -> bool:
    kept = leaf if leaf != chat.last_message_id else None

    def applied() -> bool:
        then = store.chats.get(chat.user_id, chat.chat_id)
        return then is not None and (then.branches, then.leaf) == (chat.branches + 1, kept)

    return lifecycle.write_then_verify(lambda: store.turns.select(chat, fork, kept), applied)
