"""Findings of `parley doctor`: each says what was found, and the next step if there is one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """Weight of a finding. An error keeps a deployment from succeeding."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `text` says what and where, `step` is the next step."""

    level: Level
    text: str
    step: str = ""

    def __str__(self) -> str:
        first = f"{self.level.value:<9}{self.text}"
        return f"{first}\n{'':<9}→ {self.step}" if self.step else first


def ok(text: str) -> Finding:
    """Return a finding that needs no action."""
    return Finding(Level.OK, text)


def warning(text: str, step: str) -> Finding:
    """Return a finding with which a deployment succeeds, but which somebody has to know."""
    return Finding(Level.WARNING, text, step)


def error(text: str, step: str) -> Finding:
    """Return a finding that keeps a deployment from succeeding."""
    return Finding(Level.ERROR, text, step)
