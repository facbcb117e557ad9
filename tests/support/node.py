"""Functions in JavaScript, run by the Node of this machine."""

from __future__ import annotations

import os
from typing import Any

import pytest
from parley.emulator.interpreters import find_node
from parley.template.model import Interpreter

WITH_CALLBACKS, WITHOUT_CALLBACKS = "nodejs22.x", "nodejs24.x"


def node() -> Interpreter:
    """Return the Node of this machine. Skip the test where there is none."""
    found = find_node(os.environ)
    if found is None:
        pytest.skip("there is no Node here: install Node 20 or later")
    return found


def javascript(suffix: str = ".js", **options: Any) -> dict[str, Any]:
    """Return the options of a Lambda service whose functions are files of JavaScript."""
    return {"suffix": suffix, "runtime": WITH_CALLBACKS, "interpreter": node(), "memory": 512, **options}
