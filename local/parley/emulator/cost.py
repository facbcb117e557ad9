"""Cost so far: what this run would have cost on AWS, counted from the trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from threading import Lock
from typing import Any

from parley.trace import Trace, TraceEvent

MESSAGE_BYTES = 32 * 1024
"""API Gateway counts a frame as one message for each 32 KB that it has begun."""

_READS = frozenset(("GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems"))
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million of something, without free tiers and without the lower prices of large amounts."""

    what: str
    unit: str
    dollars: float


REGION = "us-east-1"
DAY = "26 November 2026"

PRICES = {
    "messages": Price("WebSocket frames, in and out", "messages of 32 KB", 1.00),
    "minutes": Price("open WebSocket connections", "minutes", 0.25),
    "http": Price("requests to HTTP APIs", "requests", 1.00),
    "invocations": Price("Lambda invocations", "requests", 0.20),
    "gbSeconds": Price("Lambda time, on x86", "GB-seconds", 16.6667),
    "reads": Price("DynamoDB reads, on demand", "read units", 0.125),
    "writes": Price("DynamoDB writes, on demand", "write units", 0.625),
    "sqs": Price("calls of SQS", "requests", 0.40),
}
"""The prices of AWS's pages, by the name of what they are for.

https://aws.amazon.com/api-gateway/pricing, /lambda/pricing, /dynamodb/pricing/on-demand, /sqs/pricing.
"""

LEFT_OUT = (
    "the model, logs, data transfer and storage",
    "S3, SNS, EventBridge, SSM, and what event sources read from queues and streams",
    "free tiers, and the lower prices of large amounts",
    "the higher price of REST APIs, and the lower one of Lambda on Arm",
)


class CostSoFar:
    """The amounts of this run. `memory` returns the MB of a function; `clock` the seconds since the epoch.

    It counts all events, also those that the trace no longer keeps. Safe from any thread.
    """

    def __init__(self, trace: Trace, memory: Callable[[str], int], clock: Callable[[], float]) -> None:
        self._memory = memory
        self._clock = clock
        self._lock = Lock()
        self.reset()
        trace.listen(self._count)

    def reset(self) -> None:
        """Count from zero."""
        with self._lock:
            self._since = self._clock()
            self._amounts: Counter[str] = Counter()
            self._units = {"reads": 0.0, "writes": 0.0, "gbSeconds": 0.0, "minutes": 0.0}
            self._opened: dict[str, float] = {}
            self._memory_of: dict[str, int] = {}

    def report(self) -> dict[str, Any]:
        """Return the amounts, their prices and the sum, as plain JSON."""
        now = self._clock()
        with self._lock:
            open_minutes = sum(now - since for since in self._opened.values()) / 60
            amounts = {**self._amounts, **self._units}
            amounts["minutes"] += open_minutes
            since, memory = self._since, dict(self._memory_of)
        parts = [
            {
                "name": name,
                "what": price.what,
                "unit": price.unit,
                "amount": round(amounts.get(name, 0), 6),
                "dollarsPerMillion": price.dollars,
                "dollars": amounts.get(name, 0) * price.dollars / _MILLION,
            }
            for name, price in PRICES.items()
        ]
        dollars = sum(each["dollars"] for each in parts)  # type: ignore[misc]
        return {
            "since": since,
            "seconds": round(now - since, 1),
            "dollars": dollars,
            "parts": parts,
            "region": REGION,
            "pricesOf": DAY,
            "leftOut": list(LEFT_OUT),
            "memory": memory,
        }

    def _count(self, event: TraceEvent) -> None:
        with self._lock:
            self._add(event.kind, event.fields, event.at)

    def _add(self, kind: str, fields: dict[str, Any], at: float) -> None:
        match kind:
            case "frame_in" | "frame_out":
                self._amounts["messages"] += max(1, ceil(fields["bytes"] / MESSAGE_BYTES))
            case "open":
                self._opened[fields["connection_id"]] = at
            case "close":
                opened = self._opened.pop(fields["connection_id"], at)
                self._units["minutes"] += (at - opened) / 60
            case "http":
                self._amounts["http"] += 1
            case "end":
                self._amounts["invocations"] += 1
                # Lambda charges for begun milliseconds.
                memory = self._memory_of[fields["function"]] = self._memory(fields["function"])
                self._units["gbSeconds"] += ceil(fields["milliseconds"]) / 1000 * memory / 1024
            case "call" if "units" in fields:
                self._units["reads" if fields["operation"] in _READS else "writes"] += fields["units"]
            case "call" if fields["service"] == "sqs":
                self._amounts["sqs"] += 1
