"""What a process does to become an environment, whether it was forked or started afresh."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Order:
    """A process to be made: the handler as `package.module.function`, the folder of its code, all its variables."""

    handler: str
    code: str
    variables: Mapping[str, str]


def become(order: Order) -> None:
    """Turn this process into an environment: run the function's events until it is killed or exits."""
    os.environ.clear()
    os.environ.update(order.variables)
    time.tzset()
    os.chdir(order.code)
    sys.path[0] = order.code
    sys.path[1:1] = [folder for folder in order.variables.get("PYTHONPATH", "").split(os.pathsep) if folder]
    sys.argv = ["awslambdaric", order.handler]
    _forget_modules_of(Path(order.code))
    # Only now: its native client takes the address of the Runtime API from the variables when it is loaded.
    from awslambdaric.__main__ import main

    main(sys.argv)


def _forget_modules_of(code: Path) -> None:
    """Let the code's own modules win over those that were loaded before under the same names, as on AWS."""
    own = {entry.name.partition(".")[0] for entry in code.iterdir()} - sys.stdlib_module_names
    for name in list(sys.modules):
        if name.partition(".")[0] in own:
            del sys.modules[name]


if __name__ == "__main__":
    become(Order(handler=sys.argv[2], code=sys.argv[1], variables=dict(os.environ)))
