"""`parley up`: the emulator from its options to its end. The slowest part is started before the rest is imported."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from functools import partial
from pathlib import Path

import click

from parley import proxies
from parley.cli.log import Detail, Log
from parley.emulator.options import Options
from parley.emulator.startup import Startup, begin, read_again
from parley.trace import Trace

_OF_A_PROFILE = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
_STDIN_BYTES = 65_536


def run(options: Options, detail: str, *, with_parent: bool = False) -> None:
    """Run the emulator until it is stopped, with a log of this detail. Raises `StartError`.

    With `with_parent` it also stops when its standard input ends, which its parent holds.
    """
    # While modules are loaded almost nothing is garbage: collections would only take time.
    gc.disable()
    proxies.exempt(os.environ, options.address.host)
    # Nothing here is of the developer's account, and boto3 fails at each use if there is no such profile.
    for name in _OF_A_PROFILE:
        os.environ.pop(name, None)
    started = begin(options, os.environ, Path.cwd())
    with asyncio.Runner(loop_factory=_event_loop) as runner:
        if with_parent:
            runner.get_loop().add_reader(sys.stdin.fileno(), _read_parent)
        runner.run(_serve(started, Detail(detail)))


def _read_parent() -> None:
    """End as by SIGTERM at the end of standard input. What comes before is not for anybody."""
    if not os.read(sys.stdin.fileno(), _STDIN_BYTES):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        os.kill(os.getpid(), signal.SIGTERM)


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
    emulator = Emulator(started.options, started.template, started.variables, trace, started.zygote, started.data)

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
