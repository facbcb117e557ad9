"""The emulator while it runs: its event loop, its log, its end."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from parley import dev_tokens
from parley.cli.banner import greeting
from parley.cli.log import Log
from parley.emulator.application import Emulator
from parley.emulator.options import Options
from parley.emulator.variables import given
from parley.functions.processes.launch import Parent
from parley.template.model import Template
from parley.trace import Trace


def run(options: Options, template: Template, parent: Parent | None) -> None:
    """Run the emulator until it is stopped. Raises `StartError`."""
    with asyncio.Runner(loop_factory=_event_loop) as runner:
        runner.run(_up(options, template, parent))


def _event_loop() -> asyncio.AbstractEventLoop:
    """Return uvloop's event loop where there is one: about twice as fast."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _up(options: Options, template: Template, parent: Parent | None) -> None:
    trace = Trace()
    log = Log()
    said = given(os.environ, Path.cwd())
    emulator = Emulator(options, template, said, trace, parent)

    def ready() -> None:
        click.echo(greeting(emulator, dev_tokens.secret(said)))
        # Not before: what keeps the emulator from starting is one message, not that and a log.
        for happening in trace.after(0):
            log.write(happening)
        trace.listen(log.write)

    await emulator.run(ready, log.close)
