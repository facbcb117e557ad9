"""An emulator in tests: the pytest fixture `parley`, and the same for other test frameworks."""

from __future__ import annotations

from parley.testing.emulator import Connection, Fault, FunctionFailed, Parley
from parley.testing.process import NotStarted

__all__ = ["Connection", "Fault", "FunctionFailed", "NotStarted", "Parley"]
