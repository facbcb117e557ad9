"""`parley up`: the emulator from its options to its end. The slowest part is started before the rest is imported."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import os
from pathlib import Path

import click

from parley import proxies
from parley.emulator.options import Options, overrides
from parley.functions.processes.launch import ZygoteProcess, start_zygote_for
from parley.template.model import Template
from parley.template.reader import read
from parley.trace import Trace


def run(options: Options) -> None:
    """Run the emulator until it is stopped. Raises `StartError`."""
    # While modules are loaded almost nothing is garbage: collections would only take time.
    gc.disable()
    proxies.exempt(os.environ, options.address.host)
    template = read(options.template.path, options.template.parameters, imports=options.template.imports)
    zygote = _start_zygote(options, template)
    with asyncio.Runner(loop_factory=_event_loop) as runner:
        runner.run(_serve(options, template, zygote))


def _start_zygote(options: Options, template: Template) -> ZygoteProcess | None:
    """Start the zygote if functions are processes and AWS's runtime is installed."""
    if options.functions.mode != "process" or importlib.util.find_spec("runtime_client") is None:
        return None
    return start_zygote_for(template.functions.values())


def _event_loop() -> asyncio.AbstractEventLoop:
    """Return uvloop's event loop if it is installed: it is about twice as fast."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _serve(options: Options, template: Template, zygote: ZygoteProcess | None) -> None:
    # Not at the top: these imports take long. Meanwhile the zygote imports the functions' libraries, on another core.
    from parley.cli.banner import banner
    from parley.cli.log import Log
    from parley.emulator.application import Emulator

    trace, log = Trace(), Log()
    variables = overrides(os.environ, Path.cwd())
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
