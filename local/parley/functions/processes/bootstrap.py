"""The first steps of an environment's process: it becomes the function's, whether it was forked or started afresh."""

from __future__ import annotations

import copy
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

from parley.functions.processes import names

_FRESH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class LaunchOrder:
    """An order for a process: the handler as `package.module.function`, the folder of its code, all its variables.

    Without a command the process is the zygote's own Python.
    """

    handler: str
    code: str
    variables: Mapping[str, str]
    command: Sequence[str] = ()


def run(order: LaunchOrder) -> None:
    """Turn this process into an environment. It handles the function's events until it is killed or exits."""
    os.environ.clear()
    os.environ.update(order.variables)
    names.install(os.environ)
    time.tzset()
    os.chdir(order.code)
    sys.path[:1] = module_folders(order.code, order.variables)
    sys.argv = ["awslambdaric", order.handler]
    _forget_modules(own_modules(module_folders(order.code, order.variables)))
    _write_no_bytecode_of_fresh_files()
    # Not earlier, and never in the zygote: the runtime's native client reads the address of the Runtime API from the
    # variables at the moment when it is loaded.
    from awslambdaric.__main__ import main
    from awslambdaric.lambda_config import LambdaConfigProvider
    from awslambdaric.lambda_runtime_client import BaseLambdaRuntimeClient

    # From Python 3.12 on, the runtime waits for each event in a new thread, so that signals are handled meanwhile. That
    # takes 0.2 ms of each event, and the emulator sends no signal that can be handled.
    LambdaConfigProvider.SUPPORTED_THREADPOLLING_ENVS = set()
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


def module_folders(code: str, variables: Mapping[str, str]) -> list[str]:
    """Return the folders that a function brings modules in: its code, then what PYTHONPATH names, as its layers."""
    return [code, *(folder for folder in variables.get("PYTHONPATH", "").split(os.pathsep) if folder)]


def own_modules(folders: Iterable[str]) -> set[str]:
    """Return the names of the modules and packages in these folders. Those of the standard library's names win here."""
    found = set()
    for folder in folders:
        with suppress(OSError), os.scandir(folder) as entries:
            found |= {entry.name.partition(".")[0] for entry in entries if _is_module(entry)}
    return found - sys.stdlib_module_names


def _is_module(entry: os.DirEntry[str]) -> bool:
    name, _, suffix = entry.name.partition(".")
    return name.isidentifier() and (entry.name.endswith((".py", ".pyc", ".so")) or (not suffix and entry.is_dir()))


def _write_no_bytecode_of_fresh_files() -> None:
    """Keep no bytecode of a file that was changed just now.

    Python takes bytecode for a file's if size and second of the change are the same. A process that is still importing
    could write that of the file before it was saved once more, and the next process would run old code.
    """
    loader: Any = SourceFileLoader
    write = loader._cache_bytecode

    def write_unless_fresh(self: object, source_path: str, *rest: Any) -> None:
        with suppress(OSError):
            if time.time() - Path(source_path).stat().st_mtime > _FRESH_SECONDS:
                write(self, source_path, *rest)

    loader._cache_bytecode = write_unless_fresh


def _forget_modules(own: Collection[str]) -> None:
    """Forget loaded modules whose names the function has too: its own modules win, as on AWS."""
    # Only if there are any: to walk over all modules writes into the name of each, and so copies 2 MB of the zygote.
    if all(name not in sys.modules for name in own):
        return
    for name in list(sys.modules):
        if name.partition(".")[0] in own:
            del sys.modules[name]


if __name__ == "__main__":
    run(LaunchOrder(handler=sys.argv[2], code=sys.argv[1], variables=dict(os.environ)))
