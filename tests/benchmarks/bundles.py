"""The CPU of imports from the bundles, above a bare interpreter: as they are deployed, and as whole packages.

Both have bytecode and lie in the page cache. A last column has the bundle of whole packages without its bytecode.
Earlier versions have the bundles that their own `make bundles` makes.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from rich.table import Table

from infra import bundle
from tests.benchmarks.cold_start import GOALS_MS, started
from tests.benchmarks.versions import ROOT, THIS, Version, cells, columns, met

FUNCTIONS = {
    "connect": "clients",
    "default": "clients",
    "disconnect": "functions",
    "deliver": "functions",
    "generate": "generate",
    "api": "clients",
}
ROUNDS = 7
ISOLATED = ("-I", "-S")
WITHOUT_BYTECODE = ("-B", "-X", "pycache_prefix=/nowhere")
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def table(compared: Sequence[Version] = (THIS,)) -> Table:
    """Build, measure, and return the medians as a table."""
    compared = [version for version in compared if (version.folder / "infra" / "bundle.py").exists()]
    with tempfile.TemporaryDirectory() as folder:
        built = {version: Path(folder) / str(number) for number, version in enumerate(compared)}
        whole = Path(folder) / "whole"
        for version, bundles in built.items():
            _build(version, bundles)
        _build_whole(whole, built[THIS])
        ways = [*((bundles, ()) for bundles in built.values()), (whole, ()), (whole, WITHOUT_BYTECODE)]
        bare = []
        times: dict[str, list[list[float]]] = {name: [[] for _ in ways] for name in FUNCTIONS}
        for _ in range(ROUNDS):  # in turns, so that a busy machine slows down all of them alike
            bare.append(started("pass", ROOT, *ISOLATED).cpu)
            for name, kind in FUNCTIONS.items():
                for taken, (bundles, options) in zip(times[name], ways, strict=True):
                    code = f"sys.path.insert(0, {str(bundles / kind)!r}); import handlers.{name}"
                    taken.append(started(code, Path(folder), *ISOLATED, *options).cpu)
    return _shown(compared, times, median(bare))


def _shown(compared: Sequence[Version], times: dict[str, list[list[float]]], bare: float) -> Table:
    heads = columns("CPU", "ms", compared)
    title = f"Cold start: bundles, above a bare Python's {bare:.0f} ms of CPU. Medians of {ROUNDS}"
    result = Table("function", *heads, "goal", "whole packages, ms", "without bytecode, ms", title=title)
    for name, ways in times.items():
        above = [[each - bare for each in taken] for taken in ways]
        *versions, whole, slow = above
        goal = met(median(versions[0]), GOALS_MS[name]) if name in GOALS_MS else ""
        result.add_row(name, *cells(versions, ".0f"), goal, f"{median(whole):.0f}", f"{median(slow):.0f}")
    return result


def _build(version: Version, folder: Path) -> None:
    here = (f"LAMBDA_PYTHON={VERSION}", f"LAMBDA_PLATFORM={platform.machine()}-manylinux2014")
    command = ["make", "--silent", "bundles", f"BUNDLES={folder}", f"UV={_uv()}", *here]
    subprocess.run(command, cwd=version.folder, check=True)


def _build_whole(whole: Path, pruned: Path) -> None:
    for kind in set(FUNCTIONS.values()):
        shutil.copytree(ROOT / "handlers", whole / kind / "handlers", ignore=shutil.ignore_patterns("__pycache__"))
        packages = ("--requirements", pruned / f"{kind}.txt", "--target", whole / kind, "--link-mode", "copy")
        subprocess.run([_uv(), "pip", "install", "--quiet", "--python", sys.executable, *packages], check=True)
        bundle.compile_all(whole / kind)


def _uv() -> str:
    return shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")
