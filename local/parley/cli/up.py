"""`parley up`: the emulator from its options to its end. The slowest part is started before the rest is imported."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path

import click

from parley import proxies
from parley.emulator.code import read_template
from parley.emulator.options import Options, overrides
from parley.emulator.variables import FunctionVariables
from parley.functions.processes.launch import ZygoteProcess, start_zygote_for
from parley.template.model import Template
from parley.trace import Trace


def run(options: Options) -> None:
    """Run the emulator until it is stopped. Raises `StartError`."""
    # While modules are loaded almost nothing is garbage: collections would only take time.
    gc.disable()
    proxies.exempt(os.environ, options.address.host)
    variables = overrides(os.environ, Path.cwd())
    template = read_template(options.template, variables)
    zygote = _start_zygote(options, template, variables)
    with asyncio.Runner(loop_factory=_event_loop) as runner:
        runner.run(_serve(options, template, variables, zygote))


def _start_zygote(options: Options, template: Template, variables: Mapping[str, str]) -> ZygoteProcess | None:
    """Start the zygote if functions are processes and AWS's runtime is installed."""
    if options.functions.mode != "process" or importlib.util.find_spec("runtime_client") is None:
        return None
    final = FunctionVariables.on_this_machine(options, variables).provision(template)
    return start_zygote_for(final.functions.values())


def _event_loop() -> asyncio.AbstractEventLoop:
    """Return uvloop's event loop if it is installed: it is about twice as fast."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _serve(
    options: Options, template: Template, variables: Mapping[str, str], zygote: ZygoteProcess | None
) -> None:
    # Not at the top: these imports take long. Meanwhile the zygote imports the functions' libraries, on another core.
    from parley.cli.banner import banner
    from parley.cli.log import Log
    from parley.emulator.application import Emulator

    trace, log = Trace(), Log()
    emulator = Emulator(options, template, variables, trace, zygote)

    def ready() -> None:
        click.echo(banner(emulator, variables))
        # Not earlier: an emulator that cannot start prints one message, and no log before it.
        for event in trace.after(0):
            log.write(event)
        trace.listen(log.write)
        # What is loaded now stays until the end: no collection looks at it again, not even the last one.
        gc.freeze()
        gc.enable()

    await emulator.run(ready, log.close)
