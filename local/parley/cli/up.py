"""`parley up`: from options to a running emulator. What takes longest is begun before the rest is imported."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

from parley.emulator.options import Options
from parley.functions.processes.launch import Parent, launch_for
from parley.gateway.assumptions import Assumptions
from parley.gateway.quotas import TimeLimits
from parley.template.model import Template
from parley.template.reader import read


def options_of(values: Mapping[str, Any]) -> Options:
    """Return the options that were given on the command line or in the environment. Raises `StartError`."""
    limits = TimeLimits(
        idle=values["idle_timeout"],
        connection=values["connection_limit"],
        integration=values["integration_timeout"],
    )
    users = tuple(user for user in map(str.strip, values["users"].split(",")) if user)
    built = {"idle_timeout", "connection_limit", "integration_timeout", "users", "assume"}
    plain = {name: value for name, value in values.items() if name not in built}
    return Options(**plain, limits=limits, users=users, assumptions=Assumptions.of(values["assume"]))


def run(options: Options) -> None:
    """Run the emulator until it is stopped. Raises `StartError`."""
    template = read(options.template, options.parameters, imports=options.imports)
    parent = _parent(options, template)
    # Not at the top: while this is imported, the zygote imports what the functions need, on another core.
    from parley.cli import running

    running.run(options, template, parent)


def _parent(options: Options, template: Template) -> Parent | None:
    """Start what environments are forked from, where functions are processes and AWS's runtime is installed."""
    if options.functions != "process" or importlib.util.find_spec("runtime_client") is None:
        return None
    return launch_for(template.functions.values())
