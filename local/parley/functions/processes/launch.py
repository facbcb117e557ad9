"""The start of the zygote, the process from which all environments are forked.

The zygote needs longer to start than everything else that the first event waits for, and it needs nothing of the
rest. So the emulator starts it before it imports its other parts.
"""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from parley.functions.processes.preload import ZygotePlan, plan_for
from parley.template.model import Function

FORK = sys.platform == "linux"
"""Whether the zygote forks. On other systems the system's own libraries may not survive a fork, so each environment
is a new process there, which is slower. AWS's runtime client exists for Linux only, so ours takes its place there."""

ZYGOTE = "parley.functions.processes.zygote"

_PACKAGE_FOLDER = Path(__file__).parents[3]
"""The folder that holds the package `parley`: `local`, or `site-packages` where it is installed."""


@dataclass(frozen=True, slots=True)
class ZygoteProcess:
    """A running zygote, the emulator's end of its control socket, and the plan by which it loads libraries."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    plan: ZygotePlan


def start_zygote_for(functions: Iterable[Function]) -> ZygoteProcess:
    """Start a zygote that loads the libraries which these functions import. Their variables are final."""
    return start_zygote(plan_for(functions))


def start_another_zygote(functions: Iterable[Function], before: ZygotePlan | None) -> ZygoteProcess | None:
    """Start one more zygote for these functions, unless the plan before has what they need."""
    plan = plan_for(functions)
    is_needed = before is None or plan.has_other_variables(before) or plan.needs_more(before)
    return start_zygote(plan) if is_needed else None


def start_zygote(plan: ZygotePlan) -> ZygoteProcess:
    """Start a zygote. It loads libraries while the caller goes on."""
    control, theirs = socket.socketpair()
    method = "fork" if FORK and _is_installed("awslambdaric", "runtime_client") else "spawn"
    libraries = json.dumps(asdict(plan.libraries))
    # Without `site` Python does not look for installed packages.
    flags = ["-S"] if plan.libraries.packages else []
    with theirs:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, *flags, "-m", ZYGOTE, str(theirs.fileno()), method, libraries],
            # Python puts this folder first in the module path, so the zygote finds this very package.
            cwd=_PACKAGE_FOLDER,
            # The developer's own variables must not change what the libraries do while they are loaded.
            env={"PATH": os.defpath, "LANG": "C.UTF-8", **plan.variables},
            # The terminal belongs to the emulator. A library that prints while it is loaded would mix its lines with
            # the log, and a handler that reads stdin would take the developer's keys. stderr stays: a zygote that
            # fails must be able to say why. Each environment gets a pipe in the place of stdout and stderr.
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            # A terminal sends Ctrl-C to its whole session. It is meant for the emulator, which then ends the processes.
            start_new_session=True,
        )
    return ZygoteProcess(process, control, plan)


def _is_installed(*modules: str) -> bool:
    return all(importlib.util.find_spec(module) for module in modules)
