"""Fifteen minutes of users who talk without pause: what the emulator grows by. Runs only if it is named."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from rich.table import Table

from tests.benchmarks.emulator import proportional_mb, zygote_of
from tests.benchmarks.turn import receive_until
from tests.benchmarks.versions import met
from tests.support.devices import Device, Emulator
from tests.support.process_tree import children, command, descendants
from tests.support.unlimited import UNLIMITED

USERS, TURNS_OF_A_CHAT = 5, 5
MINUTES = float(os.environ.get("SOAK_MINUTES", "15"))
WARM_MINUTES = 3
GOAL_MB = 10


def table() -> Table:
    """Have the users talk, and return a table of the memory after three minutes and at the end."""
    users = [f"user{number}" for number in range(USERS)]
    settings = {"PARLEY_USERS": ",".join(users), "PARLEY_TOKENS_PER_SECOND": "40"}
    emulator, over = Emulator(**settings, **UNLIMITED), Event()
    try:
        with ThreadPoolExecutor(USERS) as pool:
            turns = [pool.submit(_talk, emulator, user, over) for user in users]
            time.sleep(WARM_MINUTES * 60)
            before = _memory(emulator)
            time.sleep((MINUTES - WARM_MINUTES) * 60)
            after = _memory(emulator)
            over.set()
        return _table(before, after, sum(each.result() for each in turns))
    finally:
        emulator.stop()


def _talk(emulator: Emulator, user: str, over: Event) -> int:
    turns = 0
    while not over.is_set():
        device = Device(emulator.websocket_url)
        device.join(user)
        device.create_chat()
        for _ in range(TURNS_OF_A_CHAT):
            device.send("message", message="/long 20")
            receive_until(device, "assistant_message_complete")
            turns += 1
        device.socket.close()
    return turns


def _memory(emulator: Emulator) -> dict[str, float]:
    zygote = zygote_of(emulator)
    engine = [pid for pid in descendants(emulator.process.pid) if "dynoxide" in command(pid)]
    return {
        "the emulator's process": proportional_mb(emulator.process.pid),
        "the environments' parent": proportional_mb(zygote),
        "the database, with what is stored": _sum(engine),
        "all environments": _sum(list(children(zygote))),
    }


def _sum(pids: Sequence[int]) -> float:
    return sum(map(proportional_mb, pids))


def _table(before: Mapping[str, float], after: Mapping[str, float], turns: int) -> Table:
    title = f"{USERS} users without pause, {turns} turns"
    result = Table("memory, MB", f"after {WARM_MINUTES} min", f"after {MINUTES:g} min", "goal", title=title)
    for number, (name, mb) in enumerate(before.items()):
        goal = met(after[name] - mb, GOAL_MB) if number == 0 else ""
        result.add_row(name, f"{mb:.1f}", f"{after[name]:.1f}", goal)
    return result
