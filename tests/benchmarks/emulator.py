"""The whole emulator: an echo, many users at once, and the memory of all its processes.

Each version's own emulator runs each version's own template, with this checkout's packages.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import uvloop
from rich.table import Table
from websockets.asyncio.client import ClientConnection, connect

from tests.benchmarks import gateway
from tests.benchmarks.turn import first_token, receive_until
from tests.benchmarks.versions import THIS, Version, cells, columns
from tests.support.devices import Device, Emulator
from tests.support.process_tree import children, descendants
from tests.support.unlimited import UNLIMITED

ROUNDS, ECHOES = 3, 500
HANDSHAKES, USERS = 60, 20

MEASURED = (
    "an echo, p50, ms",
    "the first token of one user, p50, ms",
    f"{HANDSHAKES} handshakes at once, the last one, s",
    f"{USERS} users ask at once: the last first token, s",
    "an environment after that, median, MB",
    "all processes after that, MB",
)


def table(compared: Sequence[Version] = (THIS,)) -> Table:
    """Measure each version in turns, and return the medians as a table."""
    taken: list[list[list[float]]] = [[] for _ in compared]
    for _ in range(ROUNDS):
        for version, figures in zip(compared, taken, strict=True):
            figures.append([_echo(version), *_crowd(version)])
    result = Table("", *columns("now", "", compared), title=f"The emulator. Medians of {ROUNDS}")
    for place, name in enumerate(MEASURED):
        result.add_row(name, *cells([[each[place] for each in figures] for figures in taken], ".2f"))
    return result


def _started(version: Version, template: Path, **variables: str) -> Emulator:
    return Emulator(PYTHONPATH=str(version.folder / "local"), PARLEY_TEMPLATE=str(template), **variables)


def _echo(version: Version) -> float:
    emulator = _started(version, gateway.TEMPLATE)
    try:
        load = uvloop.run(gateway.echoes(f"ws://127.0.0.1:{emulator.port}/live", 1, ECHOES))
        return median(load.times)
    finally:
        emulator.stop()


def _crowd(version: Version) -> list[float]:
    """Return the figures of Parley's own template, in the order of `MEASURED`."""
    template = version.folder / "infra" / "template.yaml"
    users = [f"user{number}" for number in range(USERS)]
    emulator = _started(version, template, PARLEY_USERS=",".join(users), **UNLIMITED)
    try:
        alone = _first_token_alone(emulator)
        handshakes = uvloop.run(_handshakes(emulator))
        together = _last_first_token(emulator, users)
        time.sleep(1)
        pids = descendants(emulator.process.pid)
        environments = [proportional_mb(pid) for pid in children(zygote_of(emulator))]
        everything = sum(map(proportional_mb, {emulator.process.pid, *pids}))
        return [alone, handshakes, together, median(environments), everything]
    finally:
        emulator.stop()


def _first_token_alone(emulator: Emulator, turns: int = 10) -> float:
    """Return the median in ms, with the environments warm."""
    device = _device(emulator, "user0")
    return median([first_token(device) for _ in range(turns + 3)][3:]) * 1000


async def _handshakes(emulator: Emulator) -> float:
    """Return the seconds until the last of many connections is open, begun at the same time."""

    async def opened() -> ClientConnection:
        return await connect(emulator.websocket_url, compression=None, open_timeout=60)

    began = time.perf_counter()
    connections = await asyncio.gather(*(opened() for _ in range(HANDSHAKES)))
    took = time.perf_counter() - began
    for each in connections:
        await each.close()
    return took


def _last_first_token(emulator: Emulator, users: Sequence[str]) -> float:
    """Return the longest time that one of the users waits for the first token of a long reply."""
    devices = [_device(emulator, user) for user in users]
    began = time.perf_counter()
    for device in devices:
        device.send("message", message="/long 60")
    waited = []
    for device in devices:
        receive_until(device, "assistant_message_token")
        waited.append(time.perf_counter() - began)
    for device in devices:
        receive_until(device, "assistant_message_complete")
    return max(waited)


def _device(emulator: Emulator, user: str) -> Device:
    device = Device(emulator.websocket_url)
    device.join(user)
    device.create_chat()
    return device


def zygote_of(emulator: Emulator) -> int:
    """Return the process that has the environments as its own children."""
    return max(children(emulator.process.pid), key=lambda pid: len(children(pid)))


def proportional_mb(pid: int) -> float:
    """Return a process's memory, of what it shares its part only (PSS)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))
