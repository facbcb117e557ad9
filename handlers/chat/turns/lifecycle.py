"""A turn: one user message and the reply to it. It is accepted once, claimed by one worker at a time, and sealed once.

Safety comes from the turn's `attempt`, which is in the condition of every write of a worker. The lease only says when
somebody else may try, so wrong clocks do no harm. DynamoDB may write and its answer may still be lost. So after a "no",
and after an error, the writer reads back whether it was its own write that was applied.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Self

from handlers.chat import ids
from handlers.chat.concurrency import Runtime
from handlers.chat.cost import Units, Use
from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.limits.policy import QuotaChange
from handlers.chat.protocol import sizes
from handlers.chat.records import Acceptance, Announcement, Chat, Fork, Message, Role, Subscription, Turn
from handlers.chat.store import Store, StoreError

LEASE = timedelta(seconds=15)
"""The time after which a worker that has not renewed its lease counts as dead."""

RENEWAL = timedelta(seconds=5)
"""The age of a lease at which its worker renews it."""

MAX_ATTEMPTS = 3
"""The number of workers that try to make a reply, or its next step. The next one seals the apology."""

MAX_TITLE_CHARS = 50
MAX_TRIES = 5
"""The most tries of a write that begins a turn. A failed try means that the chat has changed."""


@dataclass(frozen=True, slots=True)
class Handover:
    """The payload of a worker's invocation: the reply that it is to make, without any text.

    `attempt` is the number that the worker's own attempt will have, `replaces` the reply that this one replaces.
    `parent` is the message that it comes after, if it replaces one.
    `assistant` is the chat's, None for the default one.
    `hops` counts the workers that have handed the turn on while they lived, None if none has.
    `chars` are the lengths of the texts for the prompt, the newest first, as far as they are known (`protocol.sizes`).
    `frames`, `read_units`, `write_units`, `invocations` and `gb_seconds` are what the turn has used before (see
    `cost.Use`). `asked_at` is the Unix time, in milliseconds, at which API Gateway got the user's frame. It is None if
    the turn was taken over, or if it is not known.
    """

    user_id: str
    chat_id: str
    message_id: str
    attempt: int = 1
    replaces: str | None = None
    frames: int = 0
    read_units: float = 0.0
    write_units: float = 0.0
    invocations: int = 0
    gb_seconds: float | None = None
    asked_at: int | None = None
    assistant: str | None = None
    hops: int | None = None
    parent: str | None = None
    chars: tuple[int, ...] = field(default=(), compare=False)

    @classmethod
    def of(cls, payload: dict[str, Any]) -> Self:
        """Read the payload of an invocation. Raises TypeError for anything else."""
        return cls(**payload | {"chars": tuple(payload.get("chars", ()))})

    def payload(self) -> dict[str, Any]:
        """Return the payload of an invocation: ids and numbers only, so a dead letter holds no text."""
        return {name: value for name, value in asdict(self).items() if value not in (None, ())}

    @property
    def use(self) -> Use:
        """The part of AWS that the turn has used before."""
        return Use(self.frames, Units(self.read_units, self.write_units), self.invocations, self.gb_seconds)

    def after(self, use: Use, asked_at: int | None) -> Handover:
        """Return the handover with what the frame that hands over has used until now."""
        return replace(
            self,
            frames=use.frames,
            read_units=use.units.read,
            write_units=use.units.write,
            invocations=use.invocations,
            gb_seconds=use.gb_seconds,
            asked_at=asked_at if self.attempt == 1 else None,
        )


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a new message in its chat: what it comes `after`, None for the newest message.

    `fork` is its fork without it, None if it has no siblings.
    """

    after: str | None = None
    fork: Fork | None = None

    def fork_with(self, message_id: str) -> Fork | None:
        """Return the fork with the new message, whose path ends with itself as yet."""
        fork = self.fork
        return fork and replace(fork, leaves={**fork.leaves, message_id: message_id})


Charge = Callable[[Chat, bool], QuotaChange | None]
"""Decides what a message takes from its user's quotas, None if there are none.

The flag says that the usage has changed since the last decision. Raises `Refused` if there is no room.
"""


Attach = Callable[[Message], Message]
"""Returns a message with its attachments, which are kept from then on. Raises `Refused`."""


class TurnState(Enum):
    """The state of a chat's turn."""

    IDLE = "no reply is to be made"
    RUNNING = "a worker has the lease"
    WAITING = "its user has still to approve calls, or to refuse them"
    ABANDONED = "the lease ran out before the reply was stored"


class LeaseCheck(Enum):
    """The result of a worker's look at its turn."""

    HELD = "the turn is still its own"
    CANCELLED = "the turn is its own, and is to end"
    LOST = "the turn is another worker's, or is gone with its chat"


def state_of(turn: Turn | None, now: datetime) -> TurnState:
    """Return the state of a turn."""
    if turn is None:
        return TurnState.IDLE
    if turn.lease_until <= now:
        return TurnState.ABANDONED
    return TurnState.WAITING if turn.waiting else TurnState.RUNNING


def overdue(chat: Chat, now: datetime) -> list[Announcement]:
    """Return the announcements whose worker has died, the oldest reply first."""
    found = (each for each in chat.announcements if each.lease_until <= now)
    return sorted(found, key=lambda announcement: announcement.message_id)


def check_free(chat: Chat) -> None:
    """Raise `Refused` with `busy` if a reply is still to come in this chat, with or without a living worker."""
    if chat.turn is not None:
        raise Refused(ErrorCode.BUSY)


def check_lease(chat: Chat | None, own: Turn) -> LeaseCheck:
    """Compare the turn that a worker has claimed, `own`, with the turn of the chat as it is now."""
    turn = chat.turn if chat else None
    if turn is None or (turn.message_id, turn.worker) != (own.message_id, own.worker):
        return LeaseCheck.LOST
    return LeaseCheck.CANCELLED if turn.cancelled else LeaseCheck.HELD


def tries(turn: Turn) -> int:
    """Return how many workers have tried to go on with a turn, since the last one that stored a step of it."""
    return turn.attempt - turn.since


def renewal_due(turn: Turn, now: datetime) -> bool:
    """Return True if it is time for a worker to renew its lease."""
    return turn.lease_until - now <= LEASE - RENEWAL


def renew(store: Store, chat: Chat, turn: Turn, now: datetime) -> tuple[Chat | None, Turn]:
    """Renew the lease of a worker's own turn. Returns the chat and the turn as they are then.

    If the turn is another worker's, the chat is None and the turn as it was.
    """
    lease_until = now + LEASE
    renewed = store.turns.extend(chat.user_id, chat.chat_id, turn, lease_until)
    return renewed, replace(turn, lease_until=lease_until) if renewed else turn


@dataclass(frozen=True, slots=True)
class Accepted:
    """A stored user message, and the reply that is to be made. `handover` is None if the message was stored before.

    `chat` is the chat as it was when the message was stored, with all devices that do not know the message.
    """

    message: Message
    handover: Handover | None
    chat: Chat


def accept(
    store: Store,
    chat: Chat,
    text: str,
    client_message_id: str | None,
    runtime: Runtime,
    charge: Charge = lambda chat, moved: None,
    find_place: Callable[[Chat], Place] = lambda chat: Place(chat.leaf),
    attach: Attach = lambda message: message,
) -> Accepted:
    """Store a user message, exactly once for one `client_message_id`, and begin its turn.

    `chat` is the chat as it was just read. `find_place` says where the message goes, at the end of the active path if
    nothing else is said. Raises `Refused` with `busy` or `chat_not_found`, or as the three functions do.
    """
    now, tries, moved = runtime.now(), 0, False
    while tries < MAX_TRIES:
        if first := client_message_id and _sent_before(store, chat, client_message_id):
            return Accepted(first, None, chat)
        check_free(chat)
        place = find_place(chat)
        # Ids sort messages, and the clock that made the chat's last id may be ahead of this one: `after` keeps order.
        message_id = ids.after(chat.last_message_id, runtime.new_id())
        message = attach(Message(chat.chat_id, message_id, Role.USER, text, now, client_message_id, after=place.after))
        turn = Turn(ids.after(message_id, runtime.new_id()), now + LEASE, acknowledging=True)
        fork = place.fork_with(message_id)
        message = replace(message, fork=fork.eldest if fork else None)
        outcome = _accepted(store, chat, message, turn, charge(chat, moved), fork)
        if outcome is Acceptance.STORED:
            known = sizes.known_chars(sizes.sizes_with(chat, message))
            handover = Handover(chat.user_id, chat.chat_id, turn.message_id, assistant=chat.assistant, chars=known)
            return Accepted(message, handover, chat)
        if moved := outcome is Acceptance.QUOTA_CHANGED:
            continue  # another message of the user has passed: `charge` decides again, and ends this after some tries
        tries += 1
        # Refused by another condition. Either this very message is stored already, by the client's earlier try, or
        # another message or a device came first: then the chat that we know is out of date, and the next round decides
        # on the new one.
        if client_message_id and (repeated := message_sent_as(store, chat.chat_id, client_message_id)):
            return Accepted(repeated, None, chat)
        chat = find_chat(store, chat.user_id, chat.chat_id)
    raise Refused(ErrorCode.BUSY)


def _accepted(
    store: Store, chat: Chat, message: Message, turn: Turn, change: QuotaChange | None, fork: Fork | None
) -> Acceptance:
    outcome = Acceptance.CHAT_CHANGED

    def accept() -> bool:
        nonlocal outcome
        outcome = store.turns.accept(chat, message, turn, change, fork)
        return outcome is Acceptance.STORED

    stored = write_then_verify(accept, lambda: store.messages.get(chat.chat_id, message.message_id) is not None)
    return Acceptance.STORED if stored else outcome


def _sent_before(store: Store, chat: Chat, client_message_id: str) -> Message | None:
    """Return the message that was stored under this client id. It is read only if the chat is busy.

    In a free chat the condition of the write finds a repeated message, and costs no read.
    """
    return message_sent_as(store, chat.chat_id, client_message_id) if chat.turn is not None else None


def message_sent_as(store: Store, chat_id: str, client_message_id: str) -> Message | None:
    """Return the message that was stored under a client's own id, None if there is none."""
    message_id = store.messages.sent_as(chat_id, client_message_id)
    return store.messages.get(chat_id, message_id) if message_id else None


def begin(store: Store, chat: Chat, turn: Turn, now: datetime) -> bool:
    """Begin a turn without a new message. Returns False if the chat is no longer as it was read."""
    return write_then_verify(
        lambda: store.turns.begin(chat, turn, now),
        lambda: (then := _turn_of(store, chat)) is not None and then.message_id == turn.message_id,
    )


def cancel(store: Store, chat: Chat, message_id: str | None) -> Chat:
    """Mark the running reply as cancelled, and return the chat. `message_id` None means whichever reply runs.

    Raises `Refused` with `nothing_to_cancel` if no reply runs, or another one.
    """
    turn = chat.turn
    if turn is None or message_id not in (None, turn.message_id):
        raise Refused(ErrorCode.NOTHING_TO_CANCEL)
    cancelled = store.turns.cancel(chat.user_id, chat.chat_id, turn.message_id)
    if cancelled is None:
        raise Refused(ErrorCode.NOTHING_TO_CANCEL)
    return cancelled


def take_over(store: Store, chat: Chat, turn: Turn, now: datetime) -> bool:
    """Take a turn whose lease ran out, to hand it on. If several try, one gets True."""
    # The condition is the old end of the lease, so the first writer changes what the others expect. The new end is at
    # the same time the mark by which the first one knows its own write.
    lease_until = now + LEASE
    return write_then_verify(
        lambda: store.turns.take_over(chat.user_id, chat.chat_id, turn, lease_until),
        lambda: (then := _turn_of(store, chat)) is not None and then.lease_until == lease_until,
    )


def take_over_announcement(store: Store, chat: Chat, announcement: Announcement, now: datetime) -> Announcement | None:
    """Take an announcement whose lease ran out, and return it as one's own. If several try, one gets it.

    `chat` is the chat as it was read. The others get None.
    """
    own = replace(announcement, lease_until=now + LEASE)

    def applied() -> bool:
        then = store.chats.get(chat.user_id, chat.chat_id)
        return then is not None and own in then.announcements

    taken = write_then_verify(lambda: store.turns.take_over_announcement(chat, announcement, own), applied)
    return own if taken else None


def claim_announcement(store: Store, handover: Handover, now: datetime) -> tuple[Chat, Announcement] | None:
    """Take the announcement of a reply if it is overdue. Return the chat and the announcement as one's own."""
    chat = store.chats.get(handover.user_id, handover.chat_id)
    if chat is None:
        return None
    late = next((each for each in overdue(chat, now) if each.message_id == handover.message_id), None)
    own = take_over_announcement(store, chat, late, now) if late else None
    return (chat, own) if own else None


def unfinished(store: Store, handover: Handover) -> Turn | Announcement | None:
    """Read what a worker has still to do about a reply: its turn, or its announcement. Returns None if it is over.

    A turn that waits for its user is no work: a frame goes on with it, when the user has answered or the time is up.
    """
    chat = store.chats.get(handover.user_id, handover.chat_id)
    if chat is not None and chat.turn is not None and chat.turn.waiting:
        chat = replace(chat, turn=None)
    work = (chat.turn, *chat.announcements) if chat else ()
    return next((each for each in work if each and each.message_id == handover.message_id), None)


def not_shown(chat: Chat, message_id: str) -> dict[str, Subscription]:
    """Return the subscribers to whom a stored reply is to be announced.

    A connection that joined after the seal was shown the reply, and sent the rest of it if it asked for that.
    """
    return {name: each for name, each in chat.subscribers.items() if (each.shown or "") < message_id}


def handover_of(chat: Chat, turn: Turn) -> Handover:
    """Return the handover of a turn to its next worker."""
    known = sizes.known_chars(chat.sizes if turn.replaces is None else chat.sizes[1:])
    return Handover(
        chat.user_id,
        chat.chat_id,
        turn.message_id,
        turn.attempt + 1,
        turn.replaces,
        assistant=chat.assistant,
        parent=turn.after,
        chars=known,
    )


def claim(store: Store, handover: Handover, worker: str, now: datetime) -> Chat | None:
    """Make a worker the owner of a turn, and return the chat, with the turn as the worker's own.

    Returns None if the turn is another worker's, or over: that costs one write and one read.
    `worker` is an id of this claim alone.
    """
    # First try: the turn as the handover describes it. An invocation that is on time needs this one write.
    expected = Turn(handover.message_id, now, attempt=handover.attempt - 1)
    chat = _after_claiming(store, handover, expected, worker, now)
    turn = chat.turn if chat else None
    if chat is None or turn is None or turn.message_id != handover.message_id or turn.worker == worker:
        return chat if turn and turn.worker == worker else None
    # The turn has another attempt number than the handover says. This is a retry of Lambda's, or a duplicate: it may
    # go on only if the lease ran out, and it claims the attempt that it has just read. The condition on that number
    # is the fence: once it is raised, no write of an earlier worker can be applied.
    if state_of(turn, now) is not TurnState.ABANDONED:
        return None
    chat = _after_claiming(store, handover, turn, worker, now)
    return chat if chat and chat.turn and chat.turn.worker == worker else None


def _after_claiming(store: Store, handover: Handover, turn: Turn, worker: str, now: datetime) -> Chat | None:
    """Try to claim a turn, and return the chat as it is then, even if the turn is another worker's."""
    user_id, chat_id = handover.user_id, handover.chat_id
    try:
        claimed = store.turns.claim(user_id, chat_id, turn, worker, now + LEASE)
    except StoreError:
        # The claim may have been applied. If it was, the turn names this worker.
        chat = store.chats.get(user_id, chat_id)
        if chat is None or chat.turn is None or chat.turn.worker != worker:
            raise
        return chat
    return claimed or store.chats.get(user_id, chat_id)


def seal(store: Store, chat: Chat, turn: Turn, reply: Message, title: str | None, now: datetime) -> Announcement | None:
    """Store the reply of a turn, and return its announcement. Returns None if the turn is another worker's by now."""
    announcement = Announcement(turn.message_id, now + LEASE, turn.replaces)
    fork = _fork_of(store, turn, chat.chat_id) if turn.fork is not None else None
    reply = replace(reply, after=turn.after, fork=turn.fork)

    def applied() -> bool:
        stored = store.messages.get(reply.chat_id, reply.message_id)
        return stored is not None and stored.attempt == reply.attempt

    sealed = write_then_verify(lambda: store.turns.seal(chat, reply, turn, title, announcement, fork), applied)
    return announcement if sealed else None


def _fork_of(store: Store, turn: Turn, chat_id: str) -> Fork:
    """Return the fork of a turn's reply, with it. The reply that it replaces was the last message of its path."""
    # Nobody else writes it while the turn runs.
    kept = store.branches.fork(chat_id, turn.fork or "")
    ends = {each: each for each in (turn.replaces, turn.message_id) if each}
    return Fork(turn.fork or "", {**(kept.leaves if kept else {}), **ends})


def title_of(text: str) -> str:
    """Return the title that a chat gets from its first message. It is one line, whatever the message is."""
    text = " ".join(text.split())
    return text[:MAX_TITLE_CHARS] + ("..." if len(text) > MAX_TITLE_CHARS else "")


def write_then_verify(write: Callable[[], bool], applied: Callable[[], bool]) -> bool:
    """Write, and return True if the write was applied. `applied` reads that back, where the answer does not tell.

    Two answers do not tell. An error may come after DynamoDB has written. So may a "no": the client's own retry of a
    write that was applied finds that the condition does not hold any more. Raises `StoreError` if the write failed.
    """
    try:
        if write():
            return True
    except StoreError:
        if applied():
            return True
        raise
    return applied()


def find_chat(store: Store, user_id: str, chat_id: str) -> Chat:
    """Return a user's chat, read now. Raises `Refused` with `chat_not_found`."""
    chat = store.chats.get(user_id, chat_id)
    if chat is None:
        raise Refused(ErrorCode.CHAT_NOT_FOUND)
    return chat


def _turn_of(store: Store, chat: Chat) -> Turn | None:
    now = store.chats.get(chat.user_id, chat.chat_id)
    return now.turn if now else None
