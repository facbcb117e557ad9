"""Cost of a turn: what it uses of AWS and of the model, and an estimate in dollars from a price table."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from math import inf
from threading import Lock
from typing import Any, Self

from handlers.chat.errors import Misconfigured
from handlers.chat.protocol.frames import Cost, CostPart
from handlers.chat.records import Usage

_READS = ("GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems")
_MILLION = 1_000_000

TOKEN_PRICES = {"gpt-4o": (2.50, 10.00), "gpt-4o-mini": (0.15, 0.60)}
"""US dollars for a million prompt and completion tokens, by model; OpenAI's list, November 2026."""

_ARM, _X86 = 13.3334, 16.6667
GB_SECOND_PRICES = {"aarch64": _ARM, "arm64": _ARM, "x86_64": _X86, "AMD64": _X86}
"""US dollars for a million GB-seconds of Lambda's first tier, by the name of the processor.

https://aws.amazon.com/lambda/pricing, us-east-1, November 2026.
"""


@dataclass(frozen=True, slots=True)
class Units:
    """Read and write request units, as DynamoDB reported them. For a request that fails it reports none."""

    read: float = 0.0
    write: float = 0.0

    def __add__(self, other: Units) -> Units:
        return Units(self.read + other.read, self.write + other.write)


@dataclass(frozen=True, slots=True)
class Use:
    """The part of AWS that a turn has used. `gb_seconds` is None if it is not known.

    `frames` are API Gateway's messages: the frames that were posted, and the client's own. `invocations` and
    `gb_seconds` are Lambda's: the number of times that functions ran, and their time, multiplied by their memory.
    """

    frames: int = 0
    units: Units = Units()
    invocations: int = 0
    gb_seconds: float | None = None

    def __add__(self, other: Use) -> Use:
        known = self.gb_seconds is not None and other.gb_seconds is not None
        return Use(
            self.frames + other.frames,
            self.units + other.units,
            self.invocations + other.invocations,
            (self.gb_seconds or 0.0) + (other.gb_seconds or 0.0) if known else None,
        )


def gb_seconds(memory: float | None, seconds: float) -> float | None:
    """Return what an invocation of a function uses: its memory in GB, multiplied by its time. None if not known."""
    return None if memory is None else memory * seconds


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

    - `frames`: API Gateway's messages of up to 32 KB (https://aws.amazon.com/api-gateway/pricing).
    - `read_units`, `write_units`: DynamoDB's request units (https://aws.amazon.com/dynamodb/pricing/on-demand).
    - `invocations`, `gb_seconds`: Lambda's requests and time (https://aws.amazon.com/lambda/pricing).
    - `prompt_tokens`, `completion_tokens`: the model's tokens.

    A price that is None is not known. What it would pay for is left out of the dollars, and the cost says so.
    """

    frames: float = 1.00
    read_units: float = 0.125
    write_units: float = 0.625
    invocations: float = 0.20
    gb_seconds: float | None = _ARM
    prompt_tokens: float | None = None
    completion_tokens: float | None = None

    @classmethod
    def of(cls, overrides: str, model: str, machine: str | None = None) -> Self:
        """Return the prices for a model, on a processor: by default on the one that this code runs on.

        `overrides` is a JSON object, `{"write_units": 0.7, …}`, or empty. Raises `Misconfigured` for anything else.
        """
        names = [field.name for field in fields(cls)]
        prompt, completion = TOKEN_PRICES.get(model, (None, None))
        known = {
            "gb_seconds": GB_SECOND_PRICES.get(machine or platform.machine()),
            "prompt_tokens": prompt,
            "completion_tokens": completion,
        }
        try:
            given: Mapping[str, float] = json.loads(overrides or "{}")
            prices = {name: float(price) for name, price in given.items()}
            if not all(0 <= price < inf for price in prices.values()):
                raise ValueError("a price that is negative, infinite or no number")
            return cls(**(known | prices))  # type: ignore[arg-type]
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            raise Misconfigured(
                f"TURN_PRICES cannot be used; set it to a JSON object of dollars for a million of: {', '.join(names)}",
                "TURN_PRICES",
            ) from None

    def of_model(self, model: str) -> Self:
        """Return these prices with those of another model's tokens, as far as they are known."""
        prompt, completion = TOKEN_PRICES.get(model, (None, None))
        return replace(self, prompt_tokens=prompt, completion_tokens=completion)

    def cost(self, use: Use, usage: Usage | None, *, asked: bool) -> Cost:
        """Return the cost of what a turn has used. `asked` says whether the model was asked.

        `usage` is the model's tokens, None if its server did not count them.
        """
        units = use.units
        dollars = {
            CostPart.FRAMES: use.frames * self.frames,
            CostPart.UNITS: units.read * self.read_units + units.write * self.write_units,
            CostPart.FUNCTIONS: self._functions(use),
            CostPart.TOKENS: self._tokens(usage) if asked else 0.0,
        }
        known = {part: amount for part, amount in dollars.items() if amount is not None}
        return Cost(
            frames=use.frames,
            read_units=units.read,
            write_units=units.write,
            invocations=use.invocations,
            gb_seconds=None if use.gb_seconds is None else round(use.gb_seconds, 6),
            usd=round(sum(known.values()) / _MILLION, 9),
            covers=tuple(known),
        )

    def _functions(self, use: Use) -> float | None:
        if use.gb_seconds is None or self.gb_seconds is None:
            return None
        return use.invocations * self.invocations + use.gb_seconds * self.gb_seconds

    def _tokens(self, usage: Usage | None) -> float | None:
        if usage is None or self.prompt_tokens is None or self.completion_tokens is None:
            return None
        return usage.prompt_tokens * self.prompt_tokens + usage.completion_tokens * self.completion_tokens
