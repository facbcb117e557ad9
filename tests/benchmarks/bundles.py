"""The CPU of imports from the bundles: as they are deployed, against bundles of whole packages.

Both have bytecode and lie in the page cache. A third column has the bundle of whole packages without its bytecode.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from rich.table import Table

from infra import bundle
from tests.benchmarks.cold_start import ENVIRONMENT, ROOT

FUNCTIONS = {
    "connect": "clients",
    "default": "clients",
    "disconnect": "functions",
    "deliver": "functions",
    "generate": "generate",
    "api": "clients",
}
ROUNDS = 5
WITHOUT_BYTECODE = ("-B", "-X", "pycache_prefix=/nowhere")
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def table() -> Table:
    """Build, measure, and return the medians as a table."""
    with tempfile.TemporaryDirectory() as folder:
        pruned, whole = Path(folder) / "pruned", Path(folder) / "whole"
        _build(pruned, whole)
        times: dict[str, list[tuple[float, ...]]] = {name: [] for name in FUNCTIONS}
        for _ in range(ROUNDS):  # in turns, so that a busy machine slows down all of them alike
            for name, kind in FUNCTIONS.items():
                now = _cpu(pruned / kind, name), _cpu(whole / kind, name)
                times[name].append((*now, _cpu(whole / kind, name, *WITHOUT_BYTECODE)))
    columns = ("function", "CPU, ms", "whole packages", "without bytecode", "share of whole")
    result = Table(*columns, title="Cold start: bundles")
    for name, rounds in times.items():
        now, before, slow = (median(each) for each in zip(*rounds, strict=True))
        result.add_row(name, f"{now:.0f}", f"{before:.0f}", f"{slow:.0f}", f"{now / before:.2f}")
    return result


def _build(pruned: Path, whole: Path) -> None:
    here = (f"LAMBDA_PYTHON={VERSION}", f"LAMBDA_PLATFORM={platform.machine()}-manylinux2014")
    subprocess.run(["make", "--silent", "bundles", f"BUNDLES={pruned}", *here], cwd=ROOT, check=True)
    uv = shutil.which("uv") or ROOT / ".uv" / "bin" / "uv"
    for kind in set(FUNCTIONS.values()):
        shutil.copytree(ROOT / "handlers", whole / kind / "handlers", ignore=shutil.ignore_patterns("__pycache__"))
        packages = ("--requirements", pruned / f"{kind}.txt", "--target", whole / kind, "--link-mode", "copy")
        subprocess.run([uv, "pip", "install", "--quiet", "--python", sys.executable, *packages], check=True)
        bundle.compile_all(whole / kind)


def _cpu(folder: Path, function: str, *options: str) -> float:
    """Return the CPU of a process that imports a function."""
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); import handlers.{function}"
    command = [sys.executable, "-I", "-S", *options, "-c", code]
    _, status, used = os.wait4(os.posix_spawn(sys.executable, command, ENVIRONMENT), 0)
    assert status == 0, command
    return (used.ru_utime + used.ru_stime) * 1000
