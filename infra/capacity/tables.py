"""Tables of the model in Markdown, and the document that holds them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from infra.capacity.model import (
    WORKER_CPU_SECONDS,
    Design,
    Load,
    Use,
    Work,
    a_broadcast,
    a_turn,
    broadcast_seconds,
    load,
)
from infra.capacity.quotas_and_prices import (
    GATEWAY,
    PRICES,
    SECONDS_A_MONTH,
    Prices,
    breaks_at,
    model_monthly,
    monthly,
    quotas,
    storage_monthly,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "scaling.md"
SCALES = (10_000, 1_000_000, 10_000_000)
"""Connections of the columns in the document."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float) -> str:
    """Return a number with as many digits as it deserves."""
    if value >= 1e6:
        return f"{value / 1e6:,.3g} million"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def dollars(value: float) -> str:
    """Return an amount in whole dollars, or one below a dollar exactly."""
    return f"${value:,.0f}" if value >= 1 else f"${value:.6f}".rstrip("0")


def turn_table(design: Design, use: Use, prices: Prices) -> str:
    """Return the table of one turn."""
    turn = a_turn(design, use)
    rows = [
        ("frames, both directions", number(turn.frames)),
        ("bytes sent", number(turn.sent_bytes)),
        ("invocations", number(turn.invocations)),
        ("worker: seconds, and of these CPU", f"{turn.worker_seconds:.2f}, {WORKER_CPU_SECONDS}"),
        ("GB-seconds", f"{turn.gb_seconds:.2f}"),
        ("write units", number(turn.write_units)),
        ("read units, and of these looks at the chat", f"{turn.read_units:.1f}, {turn.poll_units:.1f}"),
        ("bytes of logs", number(turn.log_bytes)),
        ("cost without the model", dollars(_cost(turn, prices))),
        ("cost of the model", dollars(model_monthly(Load(1, 1 / SECONDS_A_MONTH, 0, 0, turn), use, prices))),
    ]
    return table(("of one turn", ""), rows)


def _cost(work: Work, prices: Prices) -> float:
    """Return the dollars of some work."""
    return sum(monthly(Load(0, 0, 0, 0, work * (1 / SECONDS_A_MONTH)), prices).values())


def broadcast_table(scales: Sequence[int], design: Design, prices: Prices) -> str:
    """Return the table of one broadcast."""
    works = [a_broadcast(each, design) for each in scales]
    seconds = [broadcast_seconds(each, design) for each in scales]
    rows = [
        ("minutes until the last one hears it", *(number(each / 60) for each in seconds)),
        ("posts a second", *(number(work.requests / each) for work, each in zip(works, seconds, strict=True))),
        ("invocations, 4 at once", *(number(work.invocations) for work in works)),
        ("read units", *(number(work.read_units) for work in works)),
        ("cost", *(dollars(_cost(work, prices)) for work in works)),
    ]
    return table(("of one broadcast", *(f"{each:,} connections" for each in scales)), rows)


def load_table(scales: Sequence[int], design: Design, use: Use) -> str:
    """Return the table of what runs in a second."""
    loads = [load(each, design, use) for each in scales]
    rows: list[tuple[str, Callable[[Load], float]]] = [
        ("turns", lambda each: each.turns),
        ("API Gateway requests, posts included", lambda each: each.work.requests),
        ("events of `$default`", lambda each: each.socket_events),
        ("Lambda environments at once", lambda each: each.environments),
        ("invocations", lambda each: each.work.invocations),
        ("new connections", lambda each: each.new_connections),
        ("write units", lambda each: each.work.write_units),
        ("read units", lambda each: each.work.read_units),
        ("write units of the messages table", lambda each: each.work.message_units),
        ("read units of looks at the chats table", lambda each: each.work.poll_units),
        ("MB sent", lambda each: each.work.sent_bytes / 1e6),
    ]
    head = ("in a second", *(f"{each:,} connections" for each in scales))
    return table(head, ((name, *(number(of(each)) for each in loads)) for name, of in rows))


def cost_table(scales: Sequence[int], design: Design, use: Use, prices: Prices) -> str:
    """Return the table of a month's dollars."""
    loads = [load(each, design, use) for each in scales]
    costs = [monthly(each, prices) for each in loads]
    rows = [(name, *(dollars(each[name]) for each in costs)) for name in costs[0]]
    rows.append(("**in all**", *(f"**{dollars(sum(each.values()))}**" for each in costs)))
    rows.append(("storage, in each later month", *(dollars(storage_monthly(each, prices)) for each in loads)))
    rows.append(("the model itself, gpt-4o", *(dollars(model_monthly(each, use, prices)) for each in loads)))
    return table((f"a month, {prices.region}", *(f"{each:,} connections" for each in scales)), rows)


def breaks_table(design: Design, use: Use) -> str:
    """Return the table of quotas, the one that is reached first on top."""
    reached = sorted(((breaks_at(each, design, use), each) for each in quotas(design)), key=lambda each: each[0])
    rows = ((number(at), quota.name, number(quota.default), quota.then, _linked(quota.source)) for at, quota in reached)
    return table(("connections", "what ends", "at", "what then", "source"), rows)


def _linked(source: str) -> str:
    return f"[AWS]({source})" if source.startswith("https:") else source


def remedies_table(connections: int, design: Design, use: Use, prices: Prices) -> str:
    """Return the table of what other settings cost."""
    changes = {
        "as it is": design,
        "`RelayPaceMs=100`": replace(design, pace_seconds=0.1),
        "`WorkerMemory=1024`": replace(design, worker_memory_mb=1024),
    }
    rows = []
    for name, changed in changes.items():
        needs = load(connections, changed, use)
        gateway = next(each for each in quotas(changed) if each.source == GATEWAY)
        cost = sum(monthly(needs, prices).values())
        rows.append((name, dollars(cost), number(needs.work.requests), number(breaks_at(gateway, changed, use))))
    head = (f"{connections:,} connections", "a month", "requests/s", "connections at 10,000 requests/s")
    return table(head, rows)


def tables(scales: Sequence[int], design: Design, use: Use, prices: Prices) -> dict[str, str]:
    """Return all tables by the names that they have in the document."""
    return {
        "turn": turn_table(design, use, prices),
        "load": load_table(scales, design, use),
        "cost": cost_table(scales, design, use, prices),
        "broadcast": broadcast_table(scales, design, prices),
        "breaks": breaks_table(design, use),
        "remedies": remedies_table(scales[0], design, use, prices),
    }


def filled_in(document: str, tables: dict[str, str]) -> str:
    """Return a document with each table between `<!-- capacity: name -->` and `<!-- end -->` replaced."""

    def filled(place: re.Match[str]) -> str:
        return f"{place[1]}\n\n{tables[place[2]]}\n\n{place[3]}"

    return re.sub(r"(<!-- capacity: (\w+) -->)\n.*?(<!-- end -->)", filled, document, flags=re.DOTALL)


def document() -> str:
    """Return docs/scaling.md with today's tables."""
    return filled_in(DOCUMENT.read_text(), tables(SCALES, Design(), Use(), PRICES["us-east-1"]))
