"""A turn: one user message and the reply to it. Accepted once, claimed by one worker at a time, sealed once.

Safety is the turn's `attempt` in the condition of every write; its lease only says when somebody else may try, so
clocks may be wrong without harm. An answer of the database can be lost after it has written: whoever is told no,
or nothing, reads back whether it was itself that wrote.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Self

from handlers.chat import ids
from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.protocol.frames import Role
from handlers.chat.records import Chat, Message, Turn
from handlers.chat.store import Store, StoreError

LEASE = timedelta(seconds=15)
"""How long a worker that says nothing is taken to be alive."""

RENEWAL = timedelta(seconds=5)
"""How old a lease is when its worker renews it."""

ATTEMPTS = 3
"""How many workers try to make a reply; the next one seals the apology."""

TITLE_CHARS = 50
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Handover:
    """A reply to be made, as it is handed to a worker: the payload of an invocation, without any text.

    `attempt` is the one that the worker is to be. The rest is what the turn has cost before: frames posted, and
    DynamoDB's units.
    """

    user_id: str
    chat_id: str
    message_id: str
    attempt: int = 1
    frames: int = 0
    read_units: float = 0.0
    write_units: float = 0.0

    @classmethod
    def of(cls, payload: dict[str, Any]) -> Self:
        """Read the payload of an invocation. Raises TypeError for one that is no handover."""
        return cls(**payload)

    def payload(self) -> dict[str, Any]:
        """Return the payload of an invocation: ids and numbers only, so a dead letter holds no text."""
        return asdict(self)


class Standing(Enum):
    """How a chat's newest turn stands."""

    IDLE = "nothing to do"
    RUNNING = "somebody is at it"
    ABANDONED = "whoever was at it is gone"
    UNANNOUNCED = "its reply is stored, and whoever was to announce it is gone"


class Verdict(Enum):
    """What a worker learns of its turn."""

    GO_ON = "still its own"
    CANCELLED = "to be ended"
    LOST = "another's, or gone with its chat"


def standing(turn: Turn | None, now: datetime) -> Standing:
    """Tell how a turn stands."""
    if turn is None:
        return Standing.IDLE
    gone = turn.lease_until <= now
    if turn.sealed:
        return Standing.UNANNOUNCED if gone else Standing.IDLE
    return Standing.ABANDONED if gone else Standing.RUNNING


def is_running(turn: Turn | None, now: datetime) -> bool:
    """Tell whether a reply is still to come, be its worker alive or not."""
    return standing(turn, now) in (Standing.RUNNING, Standing.ABANDONED)


def check_free(chat: Chat, now: datetime) -> None:
    """Raise `Refused` with `busy` where a reply is still to come in this chat."""
    if is_running(chat.turn, now):
        raise Refused(ErrorCode.BUSY)


def verdict(chat: Chat | None, own: Turn) -> Verdict:
    """Tell a worker whether the turn that it claimed, `own`, is still its own in the chat as it is now."""
    turn = chat.turn if chat else None
    if turn is None or turn.sealed or (turn.message_id, turn.worker) != (own.message_id, own.worker):
        return Verdict.LOST
    return Verdict.CANCELLED if turn.cancelled else Verdict.GO_ON


def renewal_due(turn: Turn, now: datetime) -> bool:
    """Tell whether a worker had better renew its lease."""
    return turn.lease_until - now <= LEASE - RENEWAL


@dataclass(frozen=True, slots=True)
class Accepted:
    """A user's message that is stored, and the reply that is to be made; None where it was stored before already."""

    message: Message
    handover: Handover | None


def accept(
    store: Store, chat: Chat, text: str, client_message_id: str | None, now: datetime, new_id: Callable[[], str]
) -> Accepted:
    """Store a user's message, exactly once for one `client_message_id`, and begin its turn.

    `chat` is the chat as it was just read. Raises `Refused` with `busy` or `chat_not_found`.
    """
    for _ in range(_TRIES):
        if first := client_message_id and _sent_before(store, chat, client_message_id, now):
            return Accepted(first, None)
        check_free(chat, now)
        message_id = ids.after(chat.last_message_id, new_id())
        message = Message(chat.chat_id, message_id, Role.USER, text, now, client_message_id)
        turn = Turn(ids.after(message_id, new_id()), now + LEASE)
        if _accepted(store, chat, message, turn):
            return Accepted(message, Handover(chat.user_id, chat.chat_id, turn.message_id))
        if client_message_id and (repeated := message_sent_as(store, chat.chat_id, client_message_id)):
            return Accepted(repeated, None)
        chat = _read_again(store, chat)
    raise Refused(ErrorCode.BUSY)


def _accepted(store: Store, chat: Chat, message: Message, turn: Turn) -> bool:
    return _committed(
        lambda: store.turns.accept(chat.user_id, message, turn, chat.last_message_id),
        lambda: store.messages.get(chat.chat_id, message.message_id) is not None,
    )


def _sent_before(store: Store, chat: Chat, client_message_id: str, now: datetime) -> Message | None:
    """Return the message that was stored under this client id: looked up only where it would be refused else."""
    return message_sent_as(store, chat.chat_id, client_message_id) if is_running(chat.turn, now) else None


def message_sent_as(store: Store, chat_id: str, client_message_id: str) -> Message | None:
    """Return the message that was stored under a client's own id, None where there is none."""
    message_id = store.messages.sent_as(chat_id, client_message_id)
    return store.messages.get(chat_id, message_id) if message_id else None


def regenerate(store: Store, chat: Chat, now: datetime, new_id: Callable[[], str]) -> Handover:
    """Begin a turn whose reply takes the place of the chat's last one.

    Raises `Refused` with `busy`, `nothing_to_regenerate` or `chat_not_found`.
    """
    for _ in range(_TRIES):
        check_free(chat, now)
        last = next(store.messages.newest_first(chat.chat_id), None)
        if last is None or last.role is not Role.ASSISTANT:
            raise Refused(ErrorCode.NOTHING_TO_REGENERATE)
        turn = Turn(ids.after(chat.last_message_id, new_id()), now + LEASE, replaces=last.message_id)
        if _begun(store, chat, turn):
            return Handover(chat.user_id, chat.chat_id, turn.message_id)
        chat = _read_again(store, chat)
    raise Refused(ErrorCode.BUSY)


def _begun(store: Store, chat: Chat, turn: Turn) -> bool:
    return _committed(
        lambda: store.turns.begin(chat.user_id, chat.chat_id, turn, chat.last_message_id),
        lambda: (now := _turn_of(store, chat)) is not None and now.message_id == turn.message_id,
    )


def cancel(store: Store, chat: Chat, message_id: str | None, now: datetime) -> None:
    """Have the running reply ended, where it is this one or none is named. Raises `Refused`: `nothing_to_cancel`."""
    turn = chat.turn
    if turn is None or not is_running(turn, now) or message_id not in (None, turn.message_id):
        raise Refused(ErrorCode.NOTHING_TO_CANCEL)
    if not store.turns.cancel(chat.user_id, chat.chat_id, turn.message_id):
        raise Refused(ErrorCode.NOTHING_TO_CANCEL)


def take_over(store: Store, chat: Chat, turn: Turn, now: datetime) -> bool:
    """Make a turn whose lease ran out this caller's own to hand on, or to announce. Of several, one is told True."""
    lease_until = now + LEASE
    return _committed(
        lambda: store.turns.take_over(chat.user_id, chat.chat_id, turn, lease_until),
        lambda: (then := _turn_of(store, chat)) is not None and then.lease_until == lease_until,
    )


def handover_of(chat: Chat, turn: Turn) -> Handover:
    """Return the handover of a turn that was taken over."""
    return Handover(chat.user_id, chat.chat_id, turn.message_id, turn.attempt + 1)


def claim(store: Store, handover: Handover, worker: str, now: datetime) -> Chat | None:
    """Make a worker the one that is at a turn, and return the chat with the turn as its own.

    A sealed turn that nobody announces is claimed too. None where the turn is another's, or over: a duplicate or late
    invocation costs one write. `worker` is an id of this claim alone.
    """
    expected = Turn(handover.message_id, now, attempt=handover.attempt - 1)
    chat = _after_claiming(store, handover, expected, worker, now)
    turn = chat.turn if chat else None
    if chat is None or turn is None or turn.message_id != handover.message_id or turn.worker == worker:
        return chat if turn and turn.worker == worker else None
    match standing(turn, now):
        case Standing.ABANDONED:
            chat = _after_claiming(store, handover, turn, worker, now)
            return chat if chat and chat.turn and chat.turn.worker == worker else None
        case Standing.UNANNOUNCED:
            return chat if take_over(store, chat, turn, now) else None
        case _:
            return None


def _after_claiming(store: Store, handover: Handover, turn: Turn, worker: str, now: datetime) -> Chat | None:
    """Try to claim a turn, and return the chat as it is then, whosever the turn is."""
    user_id, chat_id = handover.user_id, handover.chat_id
    try:
        claimed = store.turns.claim(user_id, chat_id, turn, worker, now + LEASE)
    except StoreError:
        chat = store.chats.get(user_id, chat_id)
        if chat is None or chat.turn is None or chat.turn.worker != worker:
            raise
        return chat
    return claimed or store.chats.get(user_id, chat_id)


def seal(
    store: Store, chat: Chat, turn: Turn, reply: Message, title: str | None, now: datetime, tokens: int = 0
) -> bool:
    """Store the reply of a turn, and the tokens that it took. Returns False where the turn is another's by now."""

    def landed() -> bool:
        stored = store.messages.get(reply.chat_id, reply.message_id)
        return stored is not None and stored.attempt == reply.attempt

    return _committed(lambda: store.turns.seal(chat.user_id, reply, turn, title, now + LEASE, tokens), landed)


def title_of(text: str) -> str:
    """Return the title that a chat gets from its first message."""
    return text[:TITLE_CHARS] + ("..." if len(text) > TITLE_CHARS else "")


def _committed(write: Callable[[], bool], landed: Callable[[], bool]) -> bool:
    """Write, and tell whether it is written. `landed` reads back, for a no, or no answer, may follow a commit."""
    try:
        if write():
            return True
    except StoreError:
        if landed():
            return True
        raise
    return landed()


def _turn_of(store: Store, chat: Chat) -> Turn | None:
    now = store.chats.get(chat.user_id, chat.chat_id)
    return now.turn if now else None


def _read_again(store: Store, chat: Chat) -> Chat:
    again = store.chats.get(chat.user_id, chat.chat_id)
    if again is None:
        raise Refused(ErrorCode.CHAT_NOT_FOUND)
    return again
