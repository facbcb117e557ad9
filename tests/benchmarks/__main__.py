"""Run the benchmarks that are named, or all but the longest, and print their tables.

`BEFORE` holds the commits that this version is compared with, where a benchmark can: `COMPARING`.
"""

import os
import sys

from rich.console import Console

from tests.benchmarks import (
    bundles,
    chat_page,
    cold_start,
    emulator,
    gateway,
    node,
    posts,
    relay,
    soak,
    stream,
    turn,
    units,
    worker,
)
from tests.benchmarks.versions import versions

BENCHMARKS = {
    "chat_page": chat_page.table,
    "gateway": gateway.table,
    "node": node.table,
    "posts": posts.table,
    "relay": relay.table,
    "stream": stream.table,
    "units": units.table,
}
COMPARING = {
    "bundles": bundles.table,
    "cold_start": cold_start.table,
    "emulator": emulator.table,
    "turn": turn.table,
    "worker": worker.table,
}
"""The benchmarks that measure earlier versions too, alternately with this one."""

ON_REQUEST = {"soak": soak.table}
"""The benchmarks that run only if they are named."""

TABLE_WIDTH = 135
"""Columns. In a pipe rich takes 80, and would cut figures off."""

if __name__ == "__main__":
    alone = BENCHMARKS | ON_REQUEST
    named = sys.argv[1:] or sorted(BENCHMARKS | COMPARING)
    if unknown := set(named) - set(alone | COMPARING):
        sys.exit(f"No benchmark {', '.join(sorted(unknown))}; there are: {', '.join(sorted(alone | COMPARING))}")
    console = Console(width=max(Console().width, TABLE_WIDTH))
    with versions(os.environ.get("BEFORE", "").split()) as compared:
        for name in named:
            console.print(COMPARING[name](compared) if name in COMPARING else alone[name]())
