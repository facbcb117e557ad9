"""The cost of imports at a cold start: each function in a fresh process, against a bare interpreter."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from rich.table import Table

ROOT = Path(__file__).parents[2]
FUNCTIONS = ("connect", "disconnect", "default", "deliver", "generate", "api")
ENVIRONMENT = {
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": "https://abc.execute-api.us-east-1.amazonaws.com/live",
    "JWT_SECRET": "x" * 32,
}
ROUNDS = 7


def table() -> Table:
    """Measure, and return the medians as a table."""
    measured: dict[str, list[float]] = {name: [] for name in ("", *FUNCTIONS)}
    for _ in range(ROUNDS):  # in turns, so that a busy machine slows down all of them alike
        for name, times in measured.items():
            times.append(_milliseconds(f"import handlers.{name}" if name else "pass"))
    bare = median(measured.pop(""))
    result = Table("function", "start, ms", "× bare Python", "modules", title="Cold start: imports")
    result.add_row("(bare Python)", f"{bare:.0f}", "1.0", str(_modules("pass")))
    for name, times in measured.items():
        took = median(times)
        result.add_row(name, f"{took:.0f}", f"{took / bare:.1f}", str(_modules(f"import handlers.{name}")))
    return result


def _milliseconds(code: str) -> float:
    started = time.perf_counter()
    _run(code)
    return (time.perf_counter() - started) * 1000


def _modules(code: str) -> int:
    return int(_run(f"{code}; import sys; print(len(sys.modules))"))


def _run(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=True).stdout
