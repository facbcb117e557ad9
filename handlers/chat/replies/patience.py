"""Patience with a model's server: how long it may be silent, and how long it may send signs of life only.

Decided on plain values: no I/O, no clock.
"""

from __future__ import annotations

from handlers.chat.replies.deltas import DeltaReader
from handlers.chat.settings import ModelTimeouts

USAGE_SECONDS = 2.0
"""The wait for the count of tokens, which comes after the finish reason."""

DOUBT_SECONDS = 5.0
"""The wait after a finish reason that came with the first text: some servers send one with each text (BerriAI/litellm
#2195, songquanpeng/one-api#1408)."""


class Patience:
    """The patience with one answer, from the moment of the question on. Moments are seconds of any clock.

    `until` is the moment at which the answer has failed, or is over if a finish reason stands. `reason` says why.
    """

    def __init__(self, timeouts: ModelTimeouts, now: float) -> None:
        self._timeouts = timeouts
        self._silent_until = now + timeouts.first_token_seconds
        self._idle_until = now + timeouts.progress_seconds
        self._progress = 0

    @property
    def until(self) -> float:
        """The moment at which the patience ends."""
        return min(self._silent_until, self._idle_until)

    @property
    def reason(self) -> str:
        """The failure of a model that uses up the patience."""
        silent = self._silent_until <= self._idle_until
        return "the model is silent" if silent else "the model sends nothing but signs of life"

    def note(self, reader: DeltaReader, now: float) -> None:
        """Take note that something has come: text, thinking, or only a sign of life such as a comment."""
        progress, self._progress = reader.progress > self._progress, reader.progress
        if progress:
            self._idle_until = now + self._timeouts.progress_seconds
        if reader.may_be_over:
            # At most: a server that goes on after the end must not hold the reply.
            wait = USAGE_SECONDS if reader.is_over else DOUBT_SECONDS
            self._silent_until = min(self._silent_until, now + min(wait, self._timeouts.next_token_seconds))
        elif reader.finish_reason is None or progress:
            # A sign of life before the first text must not shorten the time that the first token has.
            next_token = now + self._timeouts.next_token_seconds
            self._silent_until = next_token if reader.has_text else max(self._silent_until, next_token)
