"""The versions that a run compares: this checkout, and earlier commits in git worktrees (`make bench BEFORE=…`)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the project. All versions run with the packages of this checkout."""

    name: str
    folder: Path


THIS = Version("now", ROOT)


@contextmanager
def versions(commits: Sequence[str]) -> Iterator[tuple[Version, ...]]:
    """Check out the commits, each in a worktree that is removed at the end. The first version is this checkout."""
    with TemporaryDirectory() as folder:
        before = [Version(commit, Path(folder) / str(number)) for number, commit in enumerate(commits)]
        for version in before:
            _git("worktree", "add", "--quiet", "--detach", str(version.folder), version.name)
        try:
            yield THIS, *before
        finally:
            for version in before:
                _git("worktree", "remove", "--force", str(version.folder))


def _git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=ROOT, check=True)


def share(now: Sequence[float], before: Sequence[float]) -> str:
    """Return the share of the median now of the median before."""
    return f"{median(now) / median(before):.2f}"


def columns(measured: str, unit: str, compared: Sequence[Version]) -> list[str]:
    """Return the heads of a figure: now, and for each earlier version the figure and what share of it is left."""
    named = f", {unit}" if unit else ""
    heads = [f"{measured}{named}"]
    for version in compared[1:]:
        heads += [f"{version.name}{named}", "share"]
    return heads


def cells(figures: Sequence[Sequence[float]], form: str) -> list[str]:
    """Return the medians for the heads of `columns`. `figures` holds the repetitions of each version."""
    now, *before = figures
    shown = [format(median(now), form)]
    for each in before:
        shown += [format(median(each), form), share(now, each)]
    return shown


def met(value: float, goal: float) -> str:
    """Return whether a figure is at most its goal."""
    return f"≤ {goal:g}: {'ok' if value <= goal else 'missed'}"
