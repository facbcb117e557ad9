"""What DynamoDB charges: the capacity units of its answers, added up for one turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Lock
from typing import Any

_READS = ("GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems")


@dataclass(frozen=True, slots=True)
class Units:
    """Read and write request units, as the service reported them. What it answers with an error it does not report."""

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
        """Add what one answer of DynamoDB reports: one table, or a list of them for a transaction."""
        consumed = answer.get("ConsumedCapacity") or []
        tables = [consumed] if isinstance(consumed, Mapping) else consumed
        units = sum(float(table.get("CapacityUnits", 0.0)) for table in tables)
        with self._lock:
            self.units += Units(read=units) if operation in _READS else Units(write=units)


_METER: ContextVar[Meter | None] = ContextVar("meter", default=None)


@contextmanager
def metered() -> Iterator[Meter]:
    """Count the units of everything that is done inside, in this thread and in those started by it."""
    token = _METER.set(meter := Meter())
    try:
        yield meter
    finally:
        _METER.reset(token)


def count(operation: str, answer: Mapping[str, Any]) -> None:
    """Count an answer of DynamoDB, where somebody wants to know."""
    if meter := _METER.get():
        meter.add(operation, answer)
