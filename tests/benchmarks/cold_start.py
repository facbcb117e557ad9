"""The cost of imports at a cold start: each function in a fresh process, above a bare interpreter.

The packages are those of this checkout's environment. `bundles` measures what is deployed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from rich.table import Table

from tests.benchmarks.versions import ROOT, THIS, Version, cells, columns, met

FUNCTIONS = ("connect", "disconnect", "default", "deliver", "generate", "api")
GOALS_MS = {"connect": 200, "generate": 650}
ENVIRONMENT = {
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    # Lambda gives each environment its keys. Without them botocore asks the metadata service of an EC2 instance.
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": "https://abc.execute-api.us-east-1.amazonaws.com/live",
    "JWT_SECRET": "x" * 32,
}
ROUNDS = 9


class Start(NamedTuple):
    """The time and the memory that one process has taken, in milliseconds and MB."""

    cpu: float
    clock: float
    memory: float


def table(compared: Sequence[Version] = (THIS,)) -> Table:
    """Measure, and return the medians as a table."""
    processes = [("", THIS), *((function, version) for function in FUNCTIONS for version in compared)]
    measured: dict[tuple[str, Version], list[Start]] = {process: [] for process in processes}
    for round_ in range(ROUNDS + 1):
        for (function, version), starts in measured.items():  # in turns, so that a busy machine slows down all alike
            start = started(f"import handlers.{function}" if function else "pass", version.folder)
            if round_:  # the first one compiles
                starts.append(start)
    bare = measured.pop(("", THIS))
    cpu, clock = median(start.cpu for start in bare), median(start.clock for start in bare)
    title = f"Cold start: imports, above a bare Python's {cpu:.0f} ms of CPU. Medians of {ROUNDS}"
    heads = columns("CPU", "ms", compared)
    result = Table("function", *heads, "goal", "clock, ms", "memory, MB", "modules", title=title)
    for function in FUNCTIONS:
        above = [[start.cpu - cpu for start in measured[function, version]] for version in compared]
        goal = met(median(above[0]), GOALS_MS[function]) if function in GOALS_MS else ""
        now = measured[function, THIS]
        took, memory = median(start.clock for start in now) - clock, max(start.memory for start in now)
        row = cells(above, ".0f"), goal, f"{took:.0f}", f"{memory:.0f}", _modules(function)
        result.add_row(function, *row[0], *row[1:])
    return result


def started(code: str, folder: Path = ROOT, *options: str) -> Start:
    """Run some code in a process of its own, in a folder, and return what that took."""
    command = [sys.executable, *options, "-c", f"import os, sys; os.chdir({str(folder)!r}); {code}"]
    began = time.perf_counter()
    _, status, used = os.wait4(os.posix_spawn(sys.executable, command, ENVIRONMENT), 0)
    assert status == 0, command
    clock = time.perf_counter() - began
    return Start((used.ru_utime + used.ru_stime) * 1000, clock * 1000, used.ru_maxrss / 1024)


def _modules(function: str) -> str:
    command = [sys.executable, "-c", f"import handlers.{function}, sys; print(len(sys.modules))"]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=True).stdout.strip()
