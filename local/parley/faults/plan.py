"""The fault plan: faults that the emulator injects, and at which opportunities.

A plan is a JSON object, `{"seed": 7, "faults": [{"point": "post", "do": "429", "match": "AbC=", "nth": 3}]}`.
docs/emulator/faults.md lists every point and its actions. Handlers do not know of the plan.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import count
from random import Random
from typing import Any, Self

_EVENT = ("drop", "lose", "twice", "delay")
_CALL = ("delay", "twice", "lose", "reset", "hang", "kill", "kill-after", "freeze")
_STATUSES = tuple(str(status) for status in (400, 401, 403, 404, 408, 410, 413, 429, 500, 502, 503, 504))
_STREAMS = (
    *("stall", "stall-mid", "cut", "close", "error-event", "unknown-event", "broken-json", "html", "empty", "blank"),
    *("filter", "length", "odd", "no-usage-option", "huge", "surrogate", "abort", "content-parts", "delta-text"),
    *("odd-events", "odd-end", "sse", "whole", "refusal", "early-stop", "controls"),
)
POINTS: Mapping[str, tuple[str, ...]] = {
    "connect": _EVENT,
    "message": _EVENT,
    "disconnect": _EVENT,
    "invoke": (*_CALL, *_STATUSES),
    "run": ("kill", "freeze"),
    "post": (*_CALL, *_STATUSES, "deliver-410", "deliver-500", "deliver-reset"),
    "store": (*_CALL, *_STATUSES, "cut", "throttle", "conflict"),
    "model": ("delay", *_STATUSES, *_STREAMS),
}
"""The points at which a fault can be injected, and the actions that are possible at each."""


_numbers = count(1)
"""The ids of faults. No two faults of one process have the same, whatever plans they are of."""


class PlanError(Exception):
    """An invalid plan. The text says which part is wrong, and what it must be."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: the action `do` at `point`, if the subject contains every text of `match`.

    It applies from the `nth` such opportunity on, at `times` opportunities (None: without end), each with the
    probability `chance`. `seconds` is for actions that take time. With `after` the call first has its effect.
    """

    point: str
    do: str
    match: tuple[str, ...] = ()
    nth: int = 1
    times: int | None = 1
    chance: float = 1.0
    seconds: float = 0.0
    after: bool = False

    @classmethod
    def of(cls, content: object) -> Self:
        """Return the fault that one entry of a plan describes. Raises `PlanError`."""
        if not isinstance(content, Mapping) or not content.keys() <= {field.name for field in fields(cls)}:
            keys = ", ".join(field.name for field in fields(cls))
            raise PlanError(f"A fault is an object with the keys {keys}; this is {content!r}")
        match = content.get("match", ())
        texts = (match,) if isinstance(match, str) else match
        if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
            raise PlanError(f"match is {match!r}; it must be a text or a list of texts")
        try:
            fault = cls(**{**content, "match": tuple(texts)})
        except TypeError:
            raise PlanError(f"{dict(content)!r} lacks `point` or `do`") from None
        fault._check()
        return fault

    def _check(self) -> None:
        if self.point not in tuple(POINTS):
            raise PlanError(f"There is no point {self.point!r}; the points are {', '.join(POINTS)}")
        if self.do not in POINTS[self.point]:
            raise PlanError(f"{self.do!r} cannot be done at {self.point}; possible are {', '.join(POINTS[self.point])}")
        if not (_is_whole(self.nth) and (self.times is None or _is_whole(self.times))):
            raise PlanError("nth and times must be whole numbers of at least 1; times may also be null")
        if not (_is_number(self.chance) and self.chance <= 1 and _is_number(self.seconds)):
            raise PlanError("chance must be a number from 0 to 1, seconds a number of at least 0")
        if not isinstance(self.after, bool):
            raise PlanError("after must be true or false")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


class Plan:
    """The faults, with a count of the opportunities and hits of each.

    The same seed and the same opportunities give the same faults.
    """

    def __init__(self, faults: tuple[Fault, ...] = (), seed: int = 0) -> None:
        self._random = Random(seed)  # noqa: S311 - a plan must be repeatable
        self._seed = seed
        self._faults: list[Fault] = []
        self._opportunities: list[int] = []
        self._hits: list[int] = []
        self._ids: list[int] = []
        self.add(faults)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The faults, in the order in which they are checked."""
        return tuple(self._faults)

    @classmethod
    def of(cls, text: bytes) -> Self:
        """Read a plan. Raises `PlanError`."""
        try:
            content = json.loads(text or b"{}")
        except (ValueError, RecursionError) as error:
            raise PlanError(f"The plan is not JSON: {error}") from None
        if not isinstance(content, dict) or not content.keys() <= {"seed", "faults"}:
            raise PlanError("A plan is an object of seed and faults")
        seed, faults = content.get("seed", 0), content.get("faults", [])
        if not isinstance(seed, int) or not isinstance(faults, list):
            raise PlanError("seed must be a whole number, faults a list")
        return cls(tuple(map(Fault.of, faults)), seed)

    def add(self, faults: tuple[Fault, ...]) -> None:
        """Add faults."""
        self._faults += faults
        self._opportunities += [0] * len(faults)
        self._hits += [0] * len(faults)
        self._ids += [next(_numbers) for _ in faults]

    def remove(self, fault: int) -> bool:
        """Remove the fault with this id. Return whether there was one."""
        if fault not in self._ids:
            return False
        place = self._ids.index(fault)
        for column in (self._faults, self._opportunities, self._hits, self._ids):
            del column[place]
        return True

    def at(self, point: str, subject: str) -> Fault | None:
        """Return the fault that is due at this opportunity, if there is one. Of several the first one applies.

        The others still count the opportunity.
        """
        due = None
        for number, fault in enumerate(self._faults):
            if fault.point != point or not all(text in subject for text in fault.match):
                continue
            self._opportunities[number] += 1
            over = fault.times is not None and self._opportunities[number] >= fault.nth + fault.times
            if self._opportunities[number] < fault.nth or over or self._random.random() >= fault.chance:
                continue
            if due is None:
                due = fault
                self._hits[number] += 1
        return due

    def report(self) -> dict[str, Any]:
        """Return the plan as JSON values, with the id and the number of hits of each fault."""
        rows = zip(self._faults, self._ids, self._hits, strict=True)
        faults = [asdict(fault) | {"id": number, "hits": hits} for fault, number, hits in rows]
        return {"seed": self._seed, "faults": faults}
