"""Critical path: the calls of services that wait for each other, from a client's frame to the model's request."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a service, from its beginning to its end."""

    name: str
    began: float
    ended: float


def longest_chain(calls: Iterable[Call]) -> list[Call]:
    """Return the most calls of which none began before the one before it had ended.

    Calls at the same time count once: no caller can have waited for one of them before it began another.
    """
    chain: list[Call] = []
    for call in sorted(calls, key=lambda call: call.ended):
        if not chain or call.began >= chain[-1].ended:
            chain.append(call)
    return chain


def path(calls: Iterable[Call]) -> list[str]:
    """Return one line for each step of the longest chain: the calls that ended last in it, and those beside them."""
    calls = list(calls)
    lines = []
    for step in longest_chain(calls):
        beside = sorted(
            (each for each in calls if each.began < step.ended and step.began < each.ended), key=lambda each: each.name
        )
        lines.append(" | ".join(each.name for each in beside))
    return lines
