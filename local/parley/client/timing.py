"""Intervals, and the sources of time, chance and ids. A test gives its own."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Intervals in seconds."""

    greeting: float = 0.5
    """Time that `connected` may take. It may also come late, or not at all."""
    answer: float = 30
    """Time that each answer may take while a connection joins its chat."""
    resend: float = 30
    """Time after which a request without an answer is sent again."""
    ping_busy: float = 5
    ping_idle: float = 300
    silence: float = 30
    """Time without any frame after a ping, after which the connection counts as lost."""
    reply_silence: float = 30
    """Time without a frame of the reply that is awaited, after which the chat is joined again."""
    renewal: float = 60
    """Time before the end of a token at which a new one is fetched."""
    retries: tuple[float, ...] = (0.5, 1, 2, 4, *[8.0] * 73)
    """Longest pause before each attempt to reconnect. `back_off` shortens it by chance."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """The sources of time, chance and ids."""

    monotonic: Callable[[], float] = time.monotonic
    """Seconds of a clock that nobody sets."""
    now: Callable[[], float] = time.time
    """Seconds since 1970."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = random.random
    """A number from 0 to 1."""
    new_id: Callable[[], str] = lambda: uuid.uuid4().hex


TIMING = Timing()
RUNTIME = Runtime()


def back_off(seconds: float, chance: float) -> float:
    """Return a pause of half of `seconds` to all of it, so that clients do not all come back at once."""
    return seconds * (0.5 + chance / 2)
