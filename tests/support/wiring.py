"""The wiring of an entry point, with the fakes that a test gives in place of some parts."""

from __future__ import annotations

import os
from typing import Any

from handlers.wiring import Wiring


def wiring(**parts: Any) -> Wiring:
    """Return a wiring that has these parts, and builds the others from the environment."""
    if "gateway" in parts:
        parts.setdefault("patient_gateway", parts["gateway"])
    wired = Wiring(os.environ, identifies_users=True)
    for name, part in parts.items():
        assert hasattr(Wiring, name), f"no part is called {name}"
        setattr(wired, name, part)
    return wired
