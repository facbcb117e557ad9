"""Pythons of this machine, for functions that do not run in the one of the tests."""

from __future__ import annotations

import os
import sys

import pytest
from parley.emulator import packages
from parley.emulator.interpreters import find_python
from parley.template.model import Interpreter

OWN = (sys.version_info.major, sys.version_info.minor)


def python(version: tuple[int, int]) -> Interpreter:
    """Return the Python of this version, with the modules of Lambda's runtime. Skip the test where there is none."""
    found = find_python(version, os.environ)
    if found is None:
        pytest.skip(f"there is no Python {version} here")
    return Interpreter(found, version, (str(packages.of_the_runtime(os.environ)),))


def by_our_client() -> Interpreter:
    """Return the Python of the tests, started by our own client of the Runtime API, with all that is installed."""
    return Interpreter(f"{sys.prefix}/bin/python3", OWN)


def isolated() -> Interpreter:
    """Return the Python of the tests, forked, with the modules of Lambda's runtime only."""
    return Interpreter(sys.executable, OWN, (str(packages.of_the_runtime(os.environ)),))
