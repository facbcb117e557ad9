"""`parley up`: the emulator from its options to its end. The slowest part is started before the rest is imported."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from functools import partial
from pathlib import Path

import click

from parley import proxies
from parley.cli.log import Detail, Log
from parley.emulator.options import Options
from parley.emulator.startup import Startup, begin, read_again
from parley.trace import Trace


def run(options: Options, detail: str) -> None:
    """Run the emulator until it is stopped, with a log of this detail. Raises `StartError`."""
    # While modules are loaded almost nothing is garbage: collections would only take time.
    gc.disable()
    proxies.exempt(os.environ, options.address.host)
    started = begin(options, os.environ, Path.cwd())
    with asyncio.Runner(loop_factory=_event_loop) as runner:
        runner.run(_serve(started, Detail(detail)))


def _event_loop() -> asyncio.AbstractEventLoop:
    """Return uvloop's event loop if it is installed: it is about twice as fast."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _serve(started: Startup, detail: Detail) -> None:
    # Not at the top: these imports take long. Meanwhile the zygote imports the functions' libraries, on another core.
    from parley.cli.banner import banner
    from parley.emulator.application import Emulator
    from parley.emulator.reload.building import reloader_for

    trace, log = Trace(), Log(sys.stdout, detail, asyncio.get_running_loop().call_later)
    emulator = Emulator(started.options, started.template, started.variables, trace, started.zygote)

    read = partial(read_again, started.options, os.environ, Path.cwd())
    own = started.zygote.plan.own if started.zygote else {}
    reloader = reloader_for(emulator, read, Path.cwd(), own, trace)

    def ready() -> None:
        click.echo(banner(emulator, started.variables))
        # Not earlier: an emulator that cannot start prints one message, and no log before it.
        for event in trace.after(0):
            log.write(event)
        trace.listen(log.write)
        # What is loaded now stays until the end: no collection looks at it again, not even the last one.
        gc.freeze()
        gc.enable()

    # Before the first function is loaded: what changes from then on counts.
    if reloader:
        reloader.start()
    try:
        await emulator.run(started.listener, ready, log.close)
    finally:
        if reloader:
            reloader.stop()
