"""The whole emulator: an echo, many users at once, the memory of all its processes, its start, and reload.

Each version's own emulator runs each version's own template, with this checkout's packages.
"""

from __future__ import annotations

import asyncio
import math
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import uvloop
from rich.table import Table
from websockets.asyncio.client import ClientConnection, connect
from websockets.sync.client import connect as connect_sync

from tests.benchmarks import gateway
from tests.benchmarks.turn import first_token, receive_until
from tests.benchmarks.versions import THIS, Version, cells, columns
from tests.support.devices import Device, Emulator
from tests.support.process_tree import children, descendants, state
from tests.support.unlimited import UNLIMITED

ROUNDS, ECHOES = 3, 500
HANDSHAKES, USERS = 60, 20

IDLE_SECONDS = 5
"""The time after the start when the memory of an idle emulator is read: its functions have been tried by then."""

SAVES = 20
GOALS = {
    "ready": ("from the command to ready, a small template, s", 1.0),
    "ready_parley": ("from the command to ready, Parley's own, s", 1.5),
    "idle": ("all processes of an idle Parley, MB", 200),
    "reload": ("a save, then the echo of its code, p95, ms", 100),
    "reload_parley": ("a save, then the answer of Parley's code, p95, ms", 200),
    "interrupted": ("from Ctrl-C to the end, s", 1.0),
    "killed": ("from SIGKILL of the emulator to the end of its last process, s", 2.0),
}

MEASURED = (
    *(f"{name} (goal: {goal:g})" for name, goal in GOALS.values()),
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
            figures.append([*_everyday(version), _echo(version), *_crowd(version)])
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


def _everyday(version: Version) -> list[float]:
    """Return the figures of the start, of an idle emulator and of reload, in the order of `GOALS`."""
    with TemporaryDirectory() as folder:
        small, own = Path(folder) / "small", Path(folder) / "own"
        shutil.copytree(gateway.TEMPLATE.parent, small)
        for part in ("handlers", "infra"):
            shutil.copytree(version.folder / part, own / part)
        ready, _, reload, interrupted = _life(
            version, small / "template.yaml", lambda emulator: _reload_echo(emulator, small), signal.SIGINT
        )
        of_parley, idle, reload_of_parley, killed = _life(
            version,
            own / "infra" / "template.yaml",
            lambda emulator: _reload_parley(emulator, own),
            signal.SIGKILL,
            **UNLIMITED,
        )
        return [ready, of_parley, idle, reload, reload_of_parley, interrupted, killed]


def _life(
    version: Version, template: Path, reload: Callable[[Emulator], float], how: int, **variables: str
) -> tuple[float, float, float, float]:
    """Return how long an emulator takes to be ready, its memory when it is idle, and the times of reload and end."""
    began = time.perf_counter()
    emulator = _started(version, template, **variables)
    took = time.perf_counter() - began
    try:
        time.sleep(IDLE_SECONDS)
        idle = sum(map(proportional_mb, {emulator.process.pid, *descendants(emulator.process.pid)}))
        reloads = (version.folder / "local" / "parley" / "emulator" / "reload").is_dir()
        reloaded = reload(emulator) if reloads else math.nan
    finally:
        processes, ended = descendants(emulator.process.pid), time.perf_counter()
        emulator.stop(how)
        while any(state(pid) not in ("", "Z") for pid in processes):
            time.sleep(0.005)
    return took, idle, reloaded, time.perf_counter() - ended


def _reload_echo(emulator: Emulator, folder: Path) -> float:
    """Return the time from a save to the echo by the code that was saved."""
    source, times = (folder / "app.py").read_text(), []
    with connect_sync(f"ws://127.0.0.1:{emulator.port}/live") as client:
        for number in range(SAVES):
            time.sleep(0.5)
            changed = source.replace('event["body"].encode()', f"b'{number}'")
            times.append(_save(folder / "app.py", changed))
            client.send("x")
            assert client.recv(30) == str(number)
            times[-1] = time.perf_counter() - times[-1]
    return _p95_ms(times)


def _reload_parley(emulator: Emulator, folder: Path) -> float:
    """Return the time from a save of the module that answers frames to the answer to a `ping`."""
    path, times = folder / "handlers" / "chat" / "turns" / "commands.py", []
    source, device = path.read_text(), Device(emulator.websocket_url)
    device.join("alice")
    for number in range(SAVES):
        time.sleep(1.5)
        began = _save(path, f"{source}\n# {number}\n")
        device.send("ping")
        receive_until(device, "pong")
        times.append(time.perf_counter() - began)
    return _p95_ms(times)


def _save(path: Path, text: str) -> float:
    """Write a file as editors do, and return the moment of it."""
    beside = path.with_name(f"{path.name}~")
    beside.write_text(text)
    beside.replace(path)
    return time.perf_counter()


def _p95_ms(times: Sequence[float]) -> float:
    return sorted(times)[int(len(times) * 0.95) - 1] * 1000


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
