"""First steps of a start: the port, the variables, the template, and the process that functions are forked from.

That process imports the functions' libraries for a second. So this module imports little, and the rest of the emulator
is imported meanwhile, on another core.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from parley.emulator.code import read_template
from parley.emulator.options import Options, overrides
from parley.emulator.port import listen
from parley.emulator.state.folder import DataFolder
from parley.emulator.variables import FunctionVariables
from parley.functions.processes.launch import ZygoteProcess, start_zygote_for
from parley.template.model import Template


@dataclass(frozen=True, slots=True)
class Startup:
    """A start so far. `options` name the port that is listened on; `variables` are the developer's own.

    `zygote` is None if functions do not run in processes here, and `data` if nothing is kept.
    """

    options: Options
    listener: socket.socket
    variables: Mapping[str, str]
    template: Template
    zygote: ZygoteProcess | None
    data: DataFolder | None = None


def begin(options: Options, environ: Mapping[str, str], folder: Path) -> Startup:
    """Listen on the port, read the template, and start the zygote. Raises `StartError` and `TemplateError`."""
    # The port is taken before anything is told its number: 0 stands for one that is free.
    listener = listen(options.address.host, options.address.port)
    options = replace(options, address=replace(options.address, port=listener.getsockname()[1]))
    data = DataFolder.open(folder / options.data, options.address.port) if options.data else None
    variables = overrides(environ, folder, options.functions.variables_of_all())
    template = read_template(options.template, variables)
    return Startup(options, listener, variables, template, _start_zygote(options, template, variables), data)


def read_again(options: Options, environ: Mapping[str, str], folder: Path) -> tuple[Template, Mapping[str, str]]:
    """Return the template and the developer's variables as they are now. Raises `StartError`."""
    variables = overrides(environ, folder, options.functions.variables_of_all())
    return read_template(options.template, variables), variables


def _start_zygote(options: Options, template: Template, variables: Mapping[str, str]) -> ZygoteProcess | None:
    """Start the zygote if functions are processes."""
    if options.functions.mode != "process":
        return None
    final = FunctionVariables.on_this_machine(options, variables).provision(template)
    return start_zygote_for(final.functions.values())
