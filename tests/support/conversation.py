"""Turns in a store, told by the ids that a test chooses."""

from datetime import UTC, datetime

from handlers.chat.records import Acceptance, Announcement, Chat, FinishReason, Fork, Message, Role, Turn
from handlers.chat.turns import lifecycle
from handlers.chat.turns.lifecycle import LEASE, Handover

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def ask(store, question_id, reply_id, text="Hi", *, now=NOON, user="alice", chat_id="chat", client_message_id=None):
    """Store a question and begin the turn that answers it."""
    chat = store.chats.get(user, chat_id)
    message = Message(chat_id, question_id, Role.USER, text, now, client_message_id)
    assert store.turns.accept(chat, message, Turn(reply_id, now + LEASE)) is Acceptance.STORED
    return Handover(user, chat_id, reply_id, assistant=chat.assistant)


def claim(store, handover, *, now=NOON, worker="worker"):
    """Claim a turn and return it."""
    chat = lifecycle.claim(store, handover, worker, now)
    assert chat is not None
    return chat.turn


def seal(store, handover, text="Hello", *, turn=None, now=NOON, title=None, **more):
    """Store the reply of a turn. Returns whether it was stored."""
    turn = turn or claim(store, handover, now=now)
    more = {"finish_reason": FinishReason.STOP, "attempt": turn.attempt} | more
    more |= {"after": turn.after, "fork": turn.fork}
    reply = Message(handover.chat_id, handover.message_id, Role.ASSISTANT, text, now, **more)
    chat = store.chats.get(handover.user_id, handover.chat_id) or Chat(handover.user_id, handover.chat_id)
    fork = turn.fork and Fork(turn.fork, {turn.replaces: turn.replaces, turn.message_id: turn.message_id})
    return store.turns.seal(chat, reply, turn, title, announcement_of(handover.message_id, now), fork)


def regenerating(reply_id, replaced_id, *, after, now=NOON):
    """Return a turn whose reply replaces the one before it, which has no siblings."""
    return Turn(reply_id, now + LEASE, replaces=replaced_id, after=after, fork=replaced_id)


def talk(store, texts):
    """Store questions and their answers in turn, all of them answered."""
    for number in range(0, len(texts), 2):
        handover = ask(store, f"{number:036}", f"{number + 1:036}", texts[number])
        answer(store, handover, texts[number + 1])


def announcement_of(message_id, now=NOON):
    """The announcement of a reply that was sealed at a moment."""
    return Announcement(message_id, now + LEASE)


def answer(store, handover, text="Hello", **more):
    """Bring a turn to its end."""
    assert seal(store, handover, text, **more)
    moment = more.get("now", NOON)
    store.turns.announced(handover.user_id, handover.chat_id, announcement_of(handover.message_id, moment))
