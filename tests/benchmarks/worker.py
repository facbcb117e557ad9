"""A worker's CPU and memory for one turn of 500 tokens: the process that makes the reply, in the emulator.

Each version's functions run in an emulator of this checkout, with this checkout's packages. A post takes 10 ms, the
model writes 100 tokens a second.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from rich.table import Table

from tests.benchmarks.turn import receive_until
from tests.benchmarks.versions import THIS, Version, cells, columns, met
from tests.support.devices import Device, Emulator
from tests.support.unlimited import UNLIMITED

TURNS, TOKENS = 7, 500
GOAL_SECONDS = 0.30
GOAL_MB = 256
"""Half of the memory that the worker has by default."""

SETTINGS = {"PARLEY_TOKENS_PER_SECOND": "100", "PARLEY_POST_LATENCY_MS": "10"}
DEVICES = 20
"""As many as `CONNECTIONS_PER_USER` lets in by default."""

LONG_MESSAGE = "word " * 1_900
_TICK = os.sysconf("SC_CLK_TCK")


def table(compared: Sequence[Version] = (THIS,)) -> Table:
    """Have turns made by each version in turns, and return the medians as a table."""
    with ExitStack() as stack:
        running = [_Turns(version, stack) for version in compared]
        taken: list[list[float]] = [[] for _ in running]
        for turn in range(TURNS + 1):
            for turns, cpu in zip(running, taken, strict=True):
                took = turns.cpu_of_one()
                if turn:  # the first one starts the environments
                    cpu.append(took)
        one = [turns.memory() for turns in running]
        largest = [turns.memory_of_the_largest() for turns in running]
    title = f"A worker's turn of {TOKENS} tokens. Medians of {TURNS}"
    result = Table("of the worker", *columns("now", "", compared), "goal", title=title)
    result.add_row("CPU, s", *cells(taken, ".2f"), met(median(taken[0]), GOAL_SECONDS))
    result.add_row("memory, MB", *cells([[mb] for mb in one], ".0f"), "")
    named = f"memory with {DEVICES} devices and the longest prompt, MB"
    result.add_row(named, *cells([[mb] for mb in largest], ".0f"), met(largest[0], GOAL_MB))
    return result


class _Turns:
    """The turns of one chat, made by one version."""

    def __init__(self, version: Version, stack: ExitStack) -> None:
        template = str(version.folder / "infra" / "template.yaml")
        self._emulator = Emulator(PARLEY_TEMPLATE=template, **SETTINGS, **UNLIMITED)
        stack.callback(self._emulator.stop)
        self._device = self._joined()
        self._chat = self._device.create_chat()
        self._worker = 0

    def _joined(self, chat_id: str | None = None) -> Device:
        device = Device(self._emulator.websocket_url)
        device.join("alice", chat_id)
        return device

    def cpu_of_one(self) -> float:
        """Return the CPU of the process that makes a reply. It takes more than any other function of the turn."""
        before = _processes(self._emulator.process.pid)
        self._ask(f"/long {TOKENS}")
        time.sleep(0.5)  # the worker removes the announcement
        after = _processes(self._emulator.process.pid)
        taken = {pid: cpu - before.get(pid, 0.0) for pid, cpu in after.items()}
        self._worker = max(taken, key=taken.__getitem__)
        return taken[self._worker]

    def memory(self) -> float:
        """Return the most memory that the worker has had, in MB, with what it shares with other environments."""
        status = Path(f"/proc/{self._worker}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))

    def memory_of_the_largest(self) -> float:
        """Return the same after a turn with many devices and a prompt as long as `HistoryChars` lets it be."""
        for _ in range(6):
            self._ask(LONG_MESSAGE)
        devices = [self._joined(self._chat) for _ in range(DEVICES - 1)]
        self.cpu_of_one()
        for device in devices:
            device.socket.close()
        return self.memory()

    def _ask(self, text: str) -> None:
        self._device.send("message", message=text)
        receive_until(self._device, "assistant_message_complete")


def _processes(emulator: int) -> dict[int, float]:
    """Return the CPU seconds of each environment's process. They are the children of the emulator's child."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        parents[int(stat.parent.name)] = int(fields[1]), (int(fields[11]) + int(fields[12])) / _TICK
    children = {pid for pid, (parent, _) in parents.items() if parent == emulator}
    return {pid: cpu for pid, (parent, cpu) in parents.items() if parent in children}
