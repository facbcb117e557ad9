"""Run the benchmarks that are named, or all, and print their tables."""

import sys

from rich.console import Console

from tests.benchmarks import bundles, cold_start, gateway, posts, relay, stream, turn, units

BENCHMARKS = {
    "bundles": bundles.table,
    "cold_start": cold_start.table,
    "gateway": gateway.table,
    "posts": posts.table,
    "relay": relay.table,
    "stream": stream.table,
    "turn": turn.table,
    "units": units.table,
}

TABLE_WIDTH = 135
"""Columns. In a pipe rich takes 80, and would cut figures off."""

if __name__ == "__main__":
    named = sys.argv[1:] or list(BENCHMARKS)
    if unknown := set(named) - set(BENCHMARKS):
        sys.exit(f"No benchmark {', '.join(sorted(unknown))}; there are: {', '.join(BENCHMARKS)}")
    console = Console(width=max(Console().width, TABLE_WIDTH))
    for name in named:
        console.print(BENCHMARKS[name]())
