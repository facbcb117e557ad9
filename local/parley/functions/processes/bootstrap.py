"""The first steps of an environment's process: it becomes the function's, whether it was forked or started afresh."""

from __future__ import annotations

import copy
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class LaunchOrder:
    """An order for a process: the handler as `package.module.function`, the folder of its code, all its variables."""

    handler: str
    code: str
    variables: Mapping[str, str]


def run(order: LaunchOrder) -> None:
    """Turn this process into an environment. It handles the function's events until it is killed or exits."""
    os.environ.clear()
    os.environ.update(order.variables)
    time.tzset()
    os.chdir(order.code)
    sys.path[0] = order.code
    sys.path[1:1] = [folder for folder in order.variables.get("PYTHONPATH", "").split(os.pathsep) if folder]
    sys.argv = ["awslambdaric", order.handler]
    _forget_modules_of(Path(order.code))
    # Not earlier, and never in the zygote: the runtime's native client reads the address of the Runtime API from the
    # variables at the moment when it is loaded.
    from awslambdaric.__main__ import main
    from awslambdaric.lambda_runtime_client import BaseLambdaRuntimeClient

    BaseLambdaRuntimeClient.call_rapid = _with_whole_address(BaseLambdaRuntimeClient.call_rapid)
    main(sys.argv)


def _with_whole_address(call: Callable[..., None]) -> Callable[..., None]:
    """Return the call by which the runtime reports that a function does not start, for an address with a path.

    The native client makes URLs of the address. This call takes it for a host and a port.
    """

    def call_with_path(client: Any, method: str, endpoint: str, *rest: Any) -> None:
        address, _, secret = client.lambda_runtime_address.partition("/")
        plain = copy.copy(client)
        plain.lambda_runtime_address = address
        call(plain, method, f"/{secret}{endpoint}", *rest)

    return call_with_path


def _forget_modules_of(code: Path) -> None:
    """Forget loaded modules whose names the function's code has too: the code's own modules win, as on AWS."""
    own = {entry.name.partition(".")[0] for entry in code.iterdir()} - sys.stdlib_module_names
    for name in list(sys.modules):
        if name.partition(".")[0] in own:
            del sys.modules[name]


if __name__ == "__main__":
    run(LaunchOrder(handler=sys.argv[2], code=sys.argv[1], variables=dict(os.environ)))
