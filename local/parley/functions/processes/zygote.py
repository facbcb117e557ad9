"""The zygote: the parent process of all environments. It has the heavy libraries loaded, so that a fork starts at once.

Its arguments are the descriptor of a control socket, `fork` or `spawn`, and the libraries to load, as JSON. Orders and
reports are JSON lines. The descriptor of the pipe to print into comes with an order to launch. The control socket
closes when the emulator ends, in whatever way; then the zygote kills every child.

It is a process of its own, and not the emulator itself, because a fork copies only the thread that forks. The emulator
has threads; a lock that another one of them holds would stay locked in the child for ever. The zygote has one thread
and no event loop.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import sys
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from parley.functions.processes import bootstrap, orphans
from parley.functions.processes.bootstrap import LaunchOrder, module_folders, own_modules
from parley.functions.processes.exits import Exits
from parley.functions.processes.loading import Libraries, load

_MAX_READ_BYTES = 64 * 1024
_MAX_DESCRIPTORS = 16


_PACKAGE_FOLDER = Path(__file__).parents[3]
_CLIENT = Path(__file__).parents[1] / "clients" / "python" / "main.py"

_MAX_LOADS = 5
"""The number of times that the zygote begins afresh with fewer modules, before it loads none."""


@dataclass(frozen=True, slots=True)
class _Child:
    """A process of a function: the emulator's number of it, and its variables."""

    number: int
    variables: Mapping[str, str]


class Zygote:
    """The loop that carries out the emulator's orders and reports the ends of the children."""

    def __init__(
        self, control: socket.socket, fork: bool, loaded: Collection[str] = (), packages: Sequence[str] = ()
    ) -> None:
        self._control = control
        self._fork = fork
        self._packages = packages
        self._loaded = loaded
        self._rest = b""
        self._outputs: deque[int] = deque()
        self._children: dict[int, _Child] = {}
        self._exits = Exits()

    def serve(self) -> LaunchOrder | None:
        """Serve until the emulator is gone, and return None. In a forked child, return the child's order at once.

        The child returns instead of running the function here, so that nothing of the zygote is on its stack.
        """
        while True:
            readable = self._wait()
            if readable - {self._control.fileno()}:
                self._report_exits()
            if self._control.fileno() in readable:
                orders = self._receive()
                if orders is None:
                    self._kill_all()
                    return None
                for order in orders:
                    order_of_child = self._carry_out(order)
                    if order_of_child:
                        return order_of_child

    def report_folders(self) -> None:
        """Report the folders of what was loaded, without Python's own."""
        libraries = set(self._loaded) - sys.stdlib_module_names
        files = [getattr(sys.modules[name], "__file__", None) for name in list(sys.modules) if _top(name) in libraries]
        self._report(folders=sorted({str(Path(file).parent) for file in files if file}))

    def _wait(self) -> set[int]:
        """Wait for an order or for the end of a child. Return the descriptors that are readable."""
        # Not `select`: it takes no descriptor above 1023.
        waiting = select.poll()
        for descriptor in (self._control.fileno(), *self._exits.descriptors()):
            waiting.register(descriptor, select.POLLIN)
        return {descriptor for descriptor, _ in waiting.poll()}

    def _receive(self) -> list[dict[str, Any]] | None:
        """Return the orders that have arrived; None if the emulator is gone."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, _MAX_READ_BYTES, _MAX_DESCRIPTORS)
        except ConnectionResetError:
            return None
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
            self._outputs.append(descriptor)
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def _carry_out(self, order: dict[str, Any]) -> LaunchOrder | None:
        if "kill" in order:
            self._kill(order["kill"])
            return None
        return self._launch(order["id"], LaunchOrder(**order["launch"]), self._outputs.popleft())

    def _launch(self, number: int, order: LaunchOrder, output: int) -> LaunchOrder | None:
        try:
            pid = os.fork() if self._forks(order) else self._spawn(order, output)
        except OSError as error:
            os.close(output)
            self._report(id=number, failed=str(error))
            return None
        if pid == 0:
            self._leave(output)
            return order
        os.close(output)
        # Both the zygote and the child do this: whichever runs first, the group exists before anyone kills it.
        with suppress(OSError):
            os.setpgid(pid, pid)
        self._children[pid] = _Child(number, order.variables)
        self._exits.add(pid)
        self._report(id=number, pid=pid)
        return None

    def _spawn(self, order: LaunchOrder, output: int) -> int:
        """Start a program: the order's command, or this Python afresh. Return its process id."""
        if order.command:
            return _execute(order.command, order, output)
        if self._fork and not self._packages:
            return _spawn_python(order, output)
        # Our own client of the Runtime API needs nothing that is installed.
        flags = ["-S"] if self._packages else []
        return _execute([sys.executable, *flags, str(_CLIENT), *self._packages], order, output)

    def _forks(self, order: LaunchOrder) -> bool:
        return self._fork and not order.command and not self._is_different(order)

    def _is_different(self, order: LaunchOrder) -> bool:
        """Tell if a fork would not be as the function starts on AWS: the process must be a new one then.

        Its folder may have got a copy of a loaded library since. And some variables count at the start of a program.
        """
        here, there = (
            {name: value for name, value in each.items() if _counts_at_start(name)}
            for each in (os.environ, order.variables)
        )
        own = own_modules(module_folders(order.code, order.variables))
        return here != there or not own.isdisjoint(self._loaded)

    def _leave(self, output: int) -> None:
        """In a forked child: give up the zygote's signals and descriptors, and print into `output`."""
        os.setpgid(0, 0)
        self._exits.leave()
        self._control.close()
        for descriptor in self._outputs:
            os.close(descriptor)
        # stdin stays /dev/null, as on AWS; stdout and stderr become the pipe that the emulator reads.
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)

    def _report_exits(self) -> None:
        for pid, status in self._exits.ended():
            # Others are orphans that have ended by themselves.
            if child := self._children.pop(pid, None):
                # Processes that the function started and that still run end with their environment.
                _kill_group(pid)
                orphans.end_those_of(child.variables)
                self._report(id=child.number, status=status)

    def _kill(self, number: int) -> None:
        for pid, child in self._children.items():
            if child.number == number:
                _kill_group(pid)

    def _kill_all(self) -> None:
        for pid in self._children:
            _kill_group(pid)
        for pid in self._children:
            os.waitpid(pid, 0)
        orphans.end_all()

    def _report(self, **fields: Any) -> None:
        # If the emulator is gone, the next read of an order finds that out.
        with suppress(OSError):
            self._control.sendall(json.dumps(fields).encode() + b"\n")


def _top(name: str) -> str:
    return name.partition(".")[0]


def _counts_at_start(variable: str) -> bool:
    """Tell if Python or the system reads a variable when a program starts.

    PYTHONPATH can be obeyed later. PYTHONUNBUFFERED changes nothing: AWS's runtime always flushes.
    """
    at_start = variable.startswith(("PYTHON", "LD_", "MALLOC_", "GLIBC_"))
    return at_start and variable not in ("PYTHONPATH", "PYTHONUNBUFFERED")


def _execute(command: Sequence[str], order: LaunchOrder, output: int) -> int:
    # Not at the top: many templates have no function that needs it.
    import subprocess

    process = subprocess.Popen(  # noqa: S603 - the program that the developer's own template asks for
        command,
        cwd=order.code,
        env=dict(order.variables),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        process_group=0,
    )
    # The zygote itself learns of the end. So this object must not wait for it, nor warn that nobody did.
    process.returncode = 0
    return process.pid


def _spawn_python(order: LaunchOrder, output: int) -> int:
    return os.posix_spawn(
        sys.executable,
        # By its path: the zygote is in the folder of the functions' code.
        [sys.executable, bootstrap.__file__, order.code, order.handler],
        dict(order.variables),
        file_actions=[(os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)],
        setpgroup=0,
    )


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def main(descriptor: str, method: str, libraries: str, loads: str = "1") -> None:
    """Run the zygote; in each forked child, run the environment."""
    # `nohup` has it ignored, and environments would inherit that: those that stand still with nobody left would stay.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    control = socket.socket(fileno=int(descriptor))
    control.set_inheritable(False)
    wanted = Libraries(**json.loads(libraries))
    if wanted.packages:
        # The first folder is the one of the emulator itself, with whatever is installed beside it. The functions' own
        # folders take the first place later.
        sys.path[:1] = wanted.packages[:1]
        sys.path += wanted.packages
    loaded = _load(wanted, int(loads)) if method == "fork" else ()
    orphans.adopt()
    zygote = Zygote(control, method == "fork", loaded, wanted.packages)
    zygote.report_folders()
    order = zygote.serve()
    if order is None:
        # At once: Python would take down every loaded module first, and the emulator waits for the end.
        os._exit(0)
    bootstrap.run(order)


def _load(libraries: Libraries, loads: int) -> set[str]:
    """Load the libraries, in the folder that all functions share if they do. Return the packages loaded now."""
    if folder := os.environ.get("LAMBDA_TASK_ROOT"):
        # It may have been removed since; then the functions say so.
        with suppress(OSError):
            os.chdir(folder)
    before = set(sys.modules)
    with _ending_with_the_emulator(int(sys.argv[1])):
        left_behind = load(libraries)
    if left_behind:
        none = Libraries(packages=libraries.packages)
        rest = libraries.without(left_behind) if loads < _MAX_LOADS else none
        arguments = [*sys.argv[1:3], json.dumps(asdict(rest)), str(loads + 1)]
        flags = ["-S"] if libraries.packages else []
        os.set_inheritable(int(sys.argv[1]), True)
        os.chdir(_PACKAGE_FOLDER)
        command = [sys.executable, *flags, "-m", "parley.functions.processes.zygote", *arguments]
        os.execv(sys.executable, command)  # noqa: S606
    return {_top(name) for name in sys.modules.keys() - before}


@contextmanager
def _ending_with_the_emulator(control: int) -> Iterator[None]:
    """End this process if the emulator ends while the block runs. Nobody reads the control socket meanwhile."""

    def look(*_: object) -> None:
        waiting = select.poll()
        # Not the end of what there is to read: before that may stand orders.
        waiting.register(control, select.POLLRDHUP)
        if waiting.poll(0):
            os._exit(0)

    signal.signal(signal.SIGIO, look)
    fcntl.fcntl(control, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(control, fcntl.F_GETFL)
    fcntl.fcntl(control, fcntl.F_SETFL, flags | os.O_ASYNC)
    look()
    try:
        yield
    finally:
        fcntl.fcntl(control, fcntl.F_SETFL, flags)
        signal.signal(signal.SIGIO, signal.SIG_DFL)


if __name__ == "__main__":
    main(*sys.argv[1:])
