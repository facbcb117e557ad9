"""Cost of a turn: DynamoDB's capacity units as they are consumed, and an estimate in dollars from a price table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields
from math import inf
from threading import Lock
from typing import Any, Self

from handlers.chat.errors import Misconfigured
from handlers.chat.protocol.frames import Cost
from handlers.chat.records import Usage

_READS = ("GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems")
_MILLION = 1_000_000

TOKEN_PRICES = {"gpt-4o": (2.50, 10.00), "gpt-4o-mini": (0.15, 0.60)}
"""US dollars for a million prompt and completion tokens, by model; OpenAI's list, November 2026."""


@dataclass(frozen=True, slots=True)
class Units:
    """Read and write request units, as DynamoDB reported them. For a request that fails it reports none."""

    read: float = 0.0
    write: float = 0.0

    def __add__(self, other: Units) -> Units:
        return Units(self.read + other.read, self.write + other.write)


class Meter:
    """A running sum of units. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.units = Units()

    def add(self, operation: str, answer: Mapping[str, Any]) -> None:
        """Add the units that one answer of DynamoDB reports."""
        # An object for one table, a list of them for a transaction.
        consumed = answer.get("ConsumedCapacity") or []
        tables = [consumed] if isinstance(consumed, Mapping) else consumed
        units = sum(float(table.get("CapacityUnits", 0.0)) for table in tables)
        with self._lock:
            self.units += Units(read=units) if operation in _READS else Units(write=units)


_METER: ContextVar[Meter | None] = ContextVar("meter", default=None)


@contextmanager
def metered() -> Iterator[Meter]:
    """Count the units of everything inside, in this thread and in threads that `Runtime.start` starts in it."""
    token = _METER.set(meter := Meter())
    try:
        yield meter
    finally:
        _METER.reset(token)


def count(operation: str, answer: Mapping[str, Any]) -> None:
    """Count the units of an answer of DynamoDB, if a meter is on."""
    if meter := _METER.get():
        meter.add(operation, answer)


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars for a million of each; us-east-1 on demand, November 2026. `TURN_PRICES` overrides any of them.

    `frames` are API Gateway's messages of up to 32 KB. `read_units` and `write_units` are DynamoDB's request units.
    The tokens of a model whose price is not known cost 0.
    """

    frames: float = 1.00
    read_units: float = 0.125
    write_units: float = 0.625
    prompt_tokens: float = 0.0
    completion_tokens: float = 0.0

    @classmethod
    def of(cls, overrides: str, model: str) -> Self:
        """Return the prices for a model. `overrides` is a JSON object, `{"write_units": 0.7, …}`, or empty.

        Raises `Misconfigured` for anything else.
        """
        names = [field.name for field in fields(cls)]
        prompt, completion = TOKEN_PRICES.get(model, (0.0, 0.0))
        try:
            given: Mapping[str, float] = json.loads(overrides or "{}")
            prices = {"prompt_tokens": prompt, "completion_tokens": completion} | {
                name: float(price) for name, price in given.items()
            }
            if not all(0 <= price < inf for price in prices.values()):
                raise ValueError("a price that is negative, infinite or no number")
            return cls(**prices)
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            raise Misconfigured(
                f"TURN_PRICES cannot be used; set it to a JSON object of dollars for a million of: {', '.join(names)}",
                "TURN_PRICES",
            ) from None

    def cost(self, frames: int, units: Units, usage: Usage | None) -> Cost:
        """Return the cost of frames posted, units consumed and tokens used."""
        dollars = frames * self.frames + units.read * self.read_units + units.write * self.write_units
        if usage is not None:
            dollars += usage.prompt_tokens * self.prompt_tokens + usage.completion_tokens * self.completion_tokens
        return Cost(frames=frames, read_units=units.read, write_units=units.write, usd=round(dollars / _MILLION, 9))
