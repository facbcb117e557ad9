"""The parent of all environments, a process of its own: it has the heavy libraries loaded, so a fork starts at once.

It is started with a control socket's descriptor, `fork` or `spawn`, and the names of the modules to load. Orders
and reports are JSON lines. An order to launch comes with the descriptor of the pipe to print into. When the
control socket closes, the emulator is gone, however it ended: then every child is killed.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from parley.functions.processes.bootstrap import Order, become

_ORDER_BYTES = 64 * 1024
_ORDER_DESCRIPTORS = 16


def load(names: Iterable[str]) -> None:
    """Import what there is of these modules; what fails here may well never be needed."""
    # While modules are loaded, next to nothing is garbage: collecting would only make it last longer.
    gc.disable()
    for name in names:
        with suppress(Exception, SystemExit):
            importlib.import_module(name)
    # Keeps the collector from touching, and so from copying, the pages that the children share.
    gc.freeze()
    gc.enable()


class Zygote:
    """Carries out the emulator's orders and reports what becomes of the children."""

    def __init__(self, control: socket.socket, fork: bool) -> None:
        self._control = control
        self._fork = fork
        self._rest = b""
        self._outputs: deque[int] = deque()
        self._children: dict[int, int] = {}
        self._wakeup, self._alarm = socket.socketpair()
        self._alarm.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._alarm.fileno(), warn_on_full_buffer=False)

    def serve(self) -> Order | None:
        """Work until the emulator is gone. In a forked child, return what it is to become instead."""
        while True:
            readable, _, _ = select.select([self._control, self._wakeup], [], [])
            if self._wakeup in readable:
                self._wakeup.recv(4096)
                self._report_exits()
            if self._control in readable:
                orders = self._receive()
                if orders is None:
                    self._kill_all()
                    return None
                for order in orders:
                    becoming = self._carry_out(order)
                    if becoming:
                        return becoming

    def _receive(self) -> list[dict[str, Any]] | None:
        """Return the orders that have come; None when the emulator is gone."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, _ORDER_BYTES, _ORDER_DESCRIPTORS)
        except ConnectionResetError:
            return None
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
            self._outputs.append(descriptor)
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def _carry_out(self, order: dict[str, Any]) -> Order | None:
        if "kill" in order:
            self._kill(order["kill"])
            return None
        return self._launch(order["id"], Order(**order["launch"]), self._outputs.popleft())

    def _launch(self, number: int, order: Order, output: int) -> Order | None:
        try:
            pid = os.fork() if self._fork else _spawn(order, output)
        except OSError as error:
            os.close(output)
            self._report(id=number, failed=str(error))
            return None
        if pid == 0:
            self._leave(output)
            return order
        os.close(output)
        # Here and in the child: whichever comes first, the group is there when somebody is to be killed.
        with suppress(OSError):
            os.setpgid(pid, pid)
        self._children[pid] = number
        self._report(id=number, pid=pid)
        return None

    def _leave(self, output: int) -> None:
        """In a forked child: let go of all that is the zygote's."""
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for end in (self._control, self._wakeup, self._alarm):
            end.close()
        for descriptor in self._outputs:
            os.close(descriptor)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)

    def _report_exits(self) -> None:
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                _kill_group(pid)
                if pid in self._children:
                    self._report(id=self._children.pop(pid), status=os.waitstatus_to_exitcode(status))

    def _kill(self, number: int) -> None:
        for pid, child in self._children.items():
            if child == number:
                _kill_group(pid)

    def _kill_all(self) -> None:
        for pid in self._children:
            _kill_group(pid)
        for pid in self._children:
            os.waitpid(pid, 0)

    def _report(self, **fields: Any) -> None:
        # The emulator may be gone; that is found out when the next order is read.
        with suppress(OSError):
            self._control.sendall(json.dumps(fields).encode() + b"\n")


def _spawn(order: Order, output: int) -> int:
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "parley.functions.processes.bootstrap", order.code, order.handler],
        dict(order.variables),
        file_actions=[(os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)],
        setpgroup=0,
    )


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def main(descriptor: str, method: str, *modules: str) -> None:
    """Be the zygote, and in each forked child the environment."""
    control = socket.socket(fileno=int(descriptor))
    control.set_inheritable(False)
    load(modules)
    order = Zygote(control, method == "fork").serve()
    if order is not None:
        become(order)


if __name__ == "__main__":
    main(*sys.argv[1:])
