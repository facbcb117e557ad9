"""Starts the zygote, the parent of all environments, before anything else of the emulator is even imported.

It takes the longest of all that has to be there before the first event, and needs nothing of the rest.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from parley.functions.processes.preload import heavy_imports
from parley.template.model import Function

FORK = sys.platform == "linux"
"""Whether to fork. Elsewhere a system's own libraries may not survive it; a process started afresh is slower."""

_ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Parent:
    """A zygote and our end of its control socket; `modules` are what it loads."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    modules: Sequence[str]


def launch_for(functions: Iterable[Function]) -> Parent:
    """Start a zygote that loads what these functions import."""
    return launch(heavy_imports(functions))


def launch(modules: Sequence[str]) -> Parent:
    """Start a zygote, which loads these modules while the caller goes on."""
    control, theirs = socket.socketpair()
    method = "fork" if FORK else "spawn"
    with theirs:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-m", "parley.functions.processes.zygote", str(theirs.fileno()), method, *modules],
            cwd=_ROOT,
            # The developer's own variables must not steer what the libraries do while they are loaded.
            env={"PATH": os.defpath, "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            # Ctrl-C in the terminal is for the emulator, which then ends the processes.
            start_new_session=True,
        )
    return Parent(process, control, modules)
