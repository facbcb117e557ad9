"""The two ways to run functions: as processes, as AWS does, or inline in threads of the emulator, for a debugger."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal, Protocol

from parley.clock import Clock
from parley.faults.injector import Injector
from parley.functions.inline import Inline
from parley.functions.invocation import FunctionResponse, Invocation, Outcome
from parley.functions.machine import available_mb
from parley.functions.pools import Pools
from parley.functions.processes.launch import ZygoteProcess
from parley.template.model import Function
from parley.trace import Trace

Mode = Literal["process", "inline"]


class Runner(Protocol):
    """The part of the Lambda service that runs invocations."""

    async def start(self) -> None:
        """Prepare to run functions. Raises `StartError` if they cannot run in this way."""

    async def warm(self, invocation: Invocation, *, stays: bool = True) -> FunctionResponse | None:
        """Start a function before its first event. Return the error if it does not start.

        With `stays` what was started waits for the event. Otherwise it is only tried.
        """

    async def run(self, invocation: Invocation) -> Outcome:
        """Run an invocation to its end."""

    def renew(self, functions: Mapping[str, Function], changed: Collection[str]) -> list[str]:
        """Take these functions from now on: the changed ones load their code anew.

        Return those of the changed ones that had loaded it, the one that was used last first.
        """

    async def renew_libraries(self, *, changed: bool) -> bool:
        """Load the libraries anew if they have changed, or if the functions import more. Return whether that was so."""

    async def library_folders(self) -> list[str]:
        """Return the folders with the libraries that are loaded before the functions."""

    def caller(self, access_key: str) -> str:
        """Return the name of the function whose process signs with this key; empty if there is no such process."""

    def request(self, access_key: str) -> str:
        """Return the id of the event that the process with this key handles; empty if there is none."""

    def kill(self, access_key: str) -> None:
        """Kill the process that signs with this key, if there is one."""

    def freeze(self, access_key: str, seconds: float) -> None:
        """Stop the process that signs with this key, if there is one, and let it go on after this many seconds."""

    def end_running(self) -> list[str]:
        """Kill the environments that handle an event. Return the names of their functions."""

    def end_idle(self) -> None:
        """Kill the environments that wait for an event."""

    async def stop(self) -> None:
        """End everything that runs."""


def runner_for(
    mode: Mode,
    functions: Mapping[str, Function],
    trace: Trace,
    *,
    environments: int,
    clock: Clock | None = None,
    injector: Injector | None = None,
    zygote: ZygoteProcess | None = None,
    freezes: bool = True,
) -> Runner:
    """Return the runner of this mode. At most `environments` events of one function run at once.

    `zygote` is the process that environments are forked from, if it runs already. With `freezes` environments stand
    still between events.
    """
    if mode == "inline":
        return Inline(functions, trace, environments, clock or Clock(), injector)
    return Pools(functions, trace, environments, clock or Clock(), available_mb, injector, zygote, freezes)
