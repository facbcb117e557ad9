"""The emulator's side of the zygote: orders to launch and to kill processes, and reports of their ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import count

from parley.functions.invocation import LaunchError
from parley.functions.processes.bootstrap import LaunchOrder
from parley.functions.processes.launch import ZygoteProcess, start_zygote
from parley.functions.processes.preload import ZygotePlan, plan_for
from parley.functions.runtimes import command, shared_mb
from parley.template.model import Function

_MAX_READ_BYTES = 64 * 1024
_STOP_SECONDS = 0.1
"""The time that the zygote has to end by itself. One that still imports has no children that could stay behind."""


@dataclass(slots=True, eq=False)
class Process:
    """A process that the zygote made. `on_exit` gets its exit status, or the negative number of a signal, once.

    `freezes` are the faults that have stopped it: it goes on when the last of them is over, or with the next event.
    `shared_mb` is what it shares with others and needs on AWS too.
    """

    number: int
    on_exit: Callable[[int], None]
    variables: Mapping[str, str] = field(default_factory=dict)
    shared_mb: float = 0.0
    freezes: set[object] = field(default_factory=set)
    pid: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Processes:
    """The processes that a zygote makes. If the zygote dies, the next launch starts another.

    `requests` are the ids of the events that processes handle now, by their access keys.
    """

    def __init__(self) -> None:
        self.requests: dict[str, str] = {}
        self._plan: ZygotePlan | None = None
        self._numbers = count(1)
        self._living: dict[int, Process] = {}
        self._callers: dict[str, str] = {}
        self._zygote: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._rest = b""
        self._stopped = False
        self._on_unused: Callable[[], None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._loaded = asyncio.Event()
        self._folders: list[str] = []

    @property
    def plan(self) -> ZygotePlan | None:
        """The plan of the zygote; None before the first one."""
        return self._plan

    async def folders(self) -> list[str]:
        """Return the folders with the libraries that the zygote has loaded, once it has; none if it ended before."""
        await self._loaded.wait()
        return self._folders

    def start(self, zygote: ZygoteProcess) -> None:
        """Use this zygote. If it dies, another one is started by the same plan."""
        self._plan = zygote.plan
        self._zygote, self._control = zygote.process, zygote.control
        asyncio.get_running_loop().add_reader(self._control, self._receive)

    async def launch(
        self, function: Function, variables: Mapping[str, str], output: int, on_exit: Callable[[int], None]
    ) -> Process:
        """Start a process for a function that prints into the descriptor `output`. Raises `LaunchError`."""
        if self._stopped:
            raise LaunchError("The emulator is stopping.")
        if self._control is None:
            self.start(start_zygote(self._plan or plan_for([function])))
        order = LaunchOrder(function.handler, str(function.code.absolute()), variables, command(function))
        process = Process(next(self._numbers), on_exit, variables, shared_mb(function))
        self._living[process.number] = process
        self.note_caller(variables.get("AWS_ACCESS_KEY_ID", ""), function.name)
        self._send({"id": process.number, "launch": asdict(order)}, output)
        await process.pid
        return process

    def end_when_unused(self, on_unused: Callable[[], None]) -> None:
        """End the zygote when no process of it runs any more, and call `on_unused` then."""
        self._on_unused = on_unused
        self._end_if_unused()

    def _end_if_unused(self) -> None:
        if self._on_unused and not self._living and not self._ending:
            self._ending = asyncio.create_task(self._end_unused(self._on_unused))

    async def _end_unused(self, on_unused: Callable[[], None]) -> None:
        await self.stop()
        on_unused()

    def kill(self, process: Process) -> None:
        """Kill a process and the processes that it started. Do nothing if it has ended."""
        if process.number in self._living:
            self._send({"kill": process.number})

    def note_caller(self, access_key: str, name: str) -> None:
        """Keep whose key this is. A key that several functions have tells nothing about the caller."""
        self._callers[access_key] = name if self._callers.get(access_key, name) == name else ""

    def caller(self, access_key: str) -> str:
        """Return the function whose process has or had this key; empty if there is none, or if there are several."""
        return self._callers.get(access_key, "")

    def of_access_key(self, access_key: str) -> Process | None:
        """Return the running process that signs its requests to AWS with this key, if there is one."""
        named = (each for each in self._living.values() if each.variables.get("AWS_ACCESS_KEY_ID") == access_key)
        return next(named, None)

    def signal(self, process: Process, number: int) -> None:
        """Send a signal to a process and the processes that it started, now. Do nothing if it has ended."""
        if process.number in self._living and process.pid.done():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid.result(), number)

    def freeze(self, process: Process, seconds: float) -> None:
        """Stop a process in the middle of its work, and let it go on after this many seconds."""
        fault = object()
        process.freezes.add(fault)
        self.signal(process, signal.SIGSTOP)
        asyncio.get_running_loop().call_later(seconds, self._end_of_fault, process, fault)

    def _end_of_fault(self, process: Process, fault: object) -> None:
        if fault in process.freezes:
            process.freezes.remove(fault)
            if not process.freezes:
                self.signal(process, signal.SIGCONT)

    def rest(self, process: Process) -> None:
        """Stop a process, and the processes that it started, until `wake`. Its work is done, so no fault stops it."""
        process.freezes.clear()
        self.signal(process, signal.SIGSTOP)

    def wake(self, process: Process) -> None:
        """Let a process go on for an event, whoever has stopped it."""
        process.freezes.clear()
        self.signal(process, signal.SIGCONT)

    async def stop(self) -> None:
        """Kill all processes and the zygote. No process can be launched after that."""
        self._stopped = True
        if self._zygote is None or self._control is None:
            return
        # The end of the control socket is the order to end: it also comes if the emulator itself is killed.
        self._control.shutdown(socket.SHUT_WR)
        with suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self._zygote.wait, _STOP_SECONDS)
        self._lose_zygote()

    def _send(self, order: dict[str, object], *descriptors: int) -> None:
        # If this fails the zygote has died. Then `_receive` finds the socket closed.
        if self._control is not None:
            with suppress(OSError):
                socket.send_fds(self._control, [json.dumps(order).encode() + b"\n"], descriptors)

    def _receive(self) -> None:
        data = b""
        if self._control is not None:
            with suppress(ConnectionResetError):
                data = self._control.recv(_MAX_READ_BYTES, socket.MSG_DONTWAIT)
        if not data:
            return self._lose_zygote()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take_report(**json.loads(line))
        return None

    def _take_report(
        self,
        id: int = 0,  # noqa: A002
        pid: int = 0,
        status: int | None = None,
        failed: str = "",
        folders: list[str] | None = None,
    ) -> None:
        if folders is not None:
            self._folders = folders
            self._loaded.set()
            return
        process = self._living[id]
        if pid:
            process.pid.set_result(pid)
            return
        del self._living[id]
        if status is None:
            process.pid.set_exception(LaunchError(failed))
        else:
            process.on_exit(status)
        self._end_if_unused()

    def _lose_zygote(self) -> None:
        """End the processes that the zygote left behind, whether it stopped on order or was killed."""
        zygote, control, self._zygote, self._control = self._zygote, self._control, None, None
        if zygote is None or control is None:
            return
        asyncio.get_running_loop().remove_reader(control)
        control.close()
        zygote.kill()
        zygote.wait()
        self._loaded.set()
        self._rest = b""
        living, self._living = self._living, {}
        for process in living.values():
            _end(process)


def _end(process: Process) -> None:
    if process.pid.done() and not process.pid.cancelled():
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid.result(), signal.SIGKILL)
        process.on_exit(-signal.SIGKILL)
    else:
        process.pid.set_exception(LaunchError("The zygote, the process that starts environments, has ended."))
