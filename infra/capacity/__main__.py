"""Tables for a number of connections: `python -m infra.capacity --connections 10000`."""

from __future__ import annotations

import argparse
from dataclasses import replace

from infra.capacity.model import Design, Use
from infra.capacity.quotas_and_prices import PRICES
from infra.capacity.tables import DOCUMENT, SCALES, document, tables


def main() -> None:
    """Print the tables for the given numbers, or write those of the document."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.capacity", description="Print what connections need and cost on AWS."
    )
    parser.add_argument("--connections", type=int, metavar="N", help="connections that are open at once")
    parser.add_argument("--region", default="us-east-1", choices=PRICES, help="Region of the prices")
    parser.add_argument("--pace-ms", type=float, default=50, help="RelayPaceMs")
    parser.add_argument("--late-pace-ms", type=float, default=100, help="RelayLatePaceMs")
    parser.add_argument("--worker-memory", type=int, default=512, help="WorkerMemory, in MB")
    parser.add_argument("--turn-every", type=float, default=600, help="seconds between two turns of a connection")
    parser.add_argument("--reply-tokens", type=int, default=500, help="tokens of a reply")
    parser.add_argument("--tokens-per-second", type=float, default=100, help="speed of the model")
    parser.add_argument("--document", action="store_true", help="write the tables of docs/scaling.md again")
    given = parser.parse_args()
    prices = PRICES[given.region]
    if given.document:
        DOCUMENT.write_text(document())
        return
    for name in ("connections", "worker_memory", "turn_every", "reply_tokens", "tokens_per_second"):
        if (value := getattr(given, name)) is not None and value <= 0:
            parser.error(f"--{name.replace('_', '-')} is a number above 0")
    for name in ("pace_ms", "late_pace_ms"):
        if getattr(given, name) < 0:
            parser.error(f"--{name.replace('_', '-')} is a number from 0 on")
    design = replace(
        Design(),
        pace_seconds=given.pace_ms / 1000,
        late_pace_seconds=given.late_pace_ms / 1000,
        worker_memory_mb=given.worker_memory,
    )
    use = replace(
        Use(),
        turn_every=given.turn_every,
        reply_tokens=given.reply_tokens,
        tokens_per_second=given.tokens_per_second,
        reply_bytes=given.reply_tokens * 4,
    )
    scales = (given.connections,) if given.connections else SCALES
    print(f"Prices of {prices.region}, {prices.day}. docs/scaling.md says what the figures are made of.")
    for each in tables(scales, design, use, prices).values():
        print(f"\n{each}")


if __name__ == "__main__":
    main()
