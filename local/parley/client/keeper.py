"""Duties of a connection that depend on time: pings, renewal, hand-over. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from parley.client.frames import Frame
from parley.client.timing import Timing

_REPLY = "assistant_message_"
_SPREAD = 60
"""Seconds over which clients that connected together hand over."""


class Duty(Enum):
    """An order of the keeper to its connection."""

    PING = auto()
    LEAVE = auto()
    """The server is silent: connect again."""
    REJOIN = auto()
    """Nothing has come of the reply for too long: join the chat again."""
    RESEND = auto()
    """The request has no answer: send it again."""
    RENEW = auto()
    """The token ends soon: send a new one."""
    HAND_OVER = auto()
    """The gateway closes the connection soon: go on with another one."""


@dataclass(frozen=True, slots=True)
class Needs:
    """The state of the conversation that the duties depend on.

    `busy`: an answer or a reply is to come. `replying`: a reply is to come, and waits for nobody. `request_id`: that of
    the request without an answer.
    """

    busy: bool = False
    replying: bool = False
    request_id: str | None = None


class Keeper:
    """The clock of one connection. Times are seconds of a clock that nobody sets, except for `now`."""

    def __init__(self, timing: Timing, began: float, chance: float = 0.0) -> None:
        self._timing = timing
        self._chance = chance
        self._last_frame = self._last_of_reply = self._pinged = began
        self._unanswered: float | None = None
        """Time of the oldest ping without a frame after it."""
        self._asked: tuple[str, float] | None = None
        self._hand_over_at: float | None = None
        self._skew = 0.0
        self._expires_at: float | None = None
        self._renew_at: float | None = None

    def heard(self, frame: Frame | None, monotonic: float, now: float) -> None:
        """Note a frame, None for an unreadable one."""
        self._last_frame = monotonic
        if frame is None:
            return
        if frame.kind.startswith(_REPLY):
            self._last_of_reply = monotonic
        if frame.kind == "connected":
            self._greeted(frame, monotonic, now)

    def _greeted(self, frame: Frame, monotonic: float, now: float) -> None:
        server, limit = _seconds(frame.optional("serverTime")), _seconds(frame.optional("reconnectBefore"))
        if server is None:
            return
        self._skew = server - now
        if limit is not None:
            # By the server's clock alone: this machine's may be wrong.
            lifetime = limit - server
            self._hand_over_at = monotonic + max(lifetime - self._chance * min(_SPREAD, lifetime / 10), 0)

    def has_expired(self, now: float) -> bool:
        """Tell if the token that the connection has is no longer valid, by the server's clock."""
        return self._expires_at is not None and now + self._skew >= self._expires_at

    def has_token(self, expires_at: float | None, now: float) -> None:
        """Note the time `exp` of the token that the connection has now, None if it is not known."""
        self._expires_at = self._renew_at = expires_at
        if expires_at is not None:
            left = expires_at - now - self._skew
            self._renew_at = expires_at - min(self._timing.renewal, left / 2)

    def postpone(self, monotonic: float) -> None:
        """Try the hand-over again later: it has failed."""
        self._hand_over_at = monotonic + self._timing.ping_busy

    def rejoined(self, monotonic: float) -> None:
        """Note that the chat was joined again, and wait anew for the reply."""
        self._last_of_reply = monotonic

    def duties(self, needs: Needs, monotonic: float, now: float) -> list[Duty]:
        """Return what is to be done now."""
        if self._unanswered is not None and self._last_frame >= self._unanswered:
            self._unanswered = None
        if self._unanswered is not None and monotonic - self._unanswered > self._timing.silence:
            return [Duty.LEAVE]
        if self._hand_over_at is not None and monotonic >= self._hand_over_at:
            return [Duty.HAND_OVER]
        due = []
        if self._renew_at is not None and now + self._skew >= self._renew_at:
            due.append(Duty.RENEW)
        due += self._for_answers(needs, monotonic)
        if needs.busy or monotonic - self._pinged >= self._timing.ping_idle:
            self._pinged = monotonic
            self._unanswered = monotonic if self._unanswered is None else self._unanswered
            due.append(Duty.PING)
        return due

    def _for_answers(self, needs: Needs, monotonic: float) -> list[Duty]:
        due = []
        if not needs.replying:
            self._last_of_reply = monotonic
        elif monotonic - self._last_of_reply >= self._timing.reply_silence:
            self._last_of_reply = monotonic
            due.append(Duty.REJOIN)
        if needs.request_id is None:
            self._asked = None
        elif self._asked is None or self._asked[0] != needs.request_id:
            self._asked = needs.request_id, monotonic
        elif monotonic - self._asked[1] >= self._timing.resend:
            self._asked = needs.request_id, monotonic
            due.append(Duty.RESEND)
        return due


def _seconds(text: str | None) -> float | None:
    """Return an RFC 3339 time as seconds since 1970, None if it is none."""
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        return None
