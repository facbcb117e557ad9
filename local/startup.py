"""`parley up`: from options to a running emulator, and what it says of itself."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from local import identity
from local.emulator import WEBSOCKET_PATH, Emulator
from local.environment import given
from local.gateway.quotas import TimeLimits
from local.log import Log
from local.options import EMBEDDED, Options
from local.template import read
from local.trace import Trace


def options_of(values: Mapping[str, Any]) -> Options:
    """Return the options that were given on the command line or in the environment."""
    limits = TimeLimits(
        idle=values["idle_timeout"],
        connection=values["connection_limit"],
        integration=values["integration_timeout"],
    )
    users = tuple(user for user in map(str.strip, values["users"].split(",")) if user)
    plain = {
        name: value
        for name, value in values.items()
        if name not in ("idle_timeout", "connection_limit", "integration_timeout", "users")
    }
    return Options(**plain, limits=limits, users=users)


def run(options: Options) -> None:
    """Run the emulator until it is stopped. Raises `StartError`."""
    with asyncio.Runner(loop_factory=_event_loop) as runner:
        runner.run(_up(options))


def _event_loop() -> asyncio.AbstractEventLoop:
    """Return uvloop's event loop where there is one: about twice as fast."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _up(options: Options) -> None:
    trace = Trace()
    log = Log()
    said = given(os.environ, Path.cwd())
    emulator = Emulator(options, read(options.template), said, trace)

    def ready() -> None:
        click.echo(greeting(emulator, identity.secret(said)))
        # Not before: what keeps the emulator from starting is one message, not that and a log.
        for happening in trace.after(0):
            log.write(happening)
        trace.listen(log.write)

    await emulator.run(ready, log.close)


def greeting(emulator: Emulator, secret: str) -> str:
    """Return what the emulator says when it is ready."""
    options, stage = emulator.options, emulator.stage
    host = options.url.removeprefix("http://")
    model = "built in; set OPENAI_API_KEY, OPENAI_BASE_URL, OPENAI_MODEL for another"
    lines = [
        f"Parley is up on {options.url}  (Ctrl-C ends it)",
        "",
        f"  WebSocket     ws://{host}{WEBSOCKET_PATH}  or  ws://{host}/{stage}",
        f"  HTTP API      {options.url}/health",
        f"  @connections  {options.url}/{stage}/@connections/{{connectionId}}",
        f"  DynamoDB      {'embedded, in memory' if options.dynamodb == EMBEDDED else options.dynamodb}",
        f"  Model         {model if emulator.built_in_model else 'as OPENAI_BASE_URL and OPENAI_MODEL say'}",
    ]
    if options.users:
        user = options.users[0]
        lines += [
            f"  Users         {', '.join(options.users)}",
            f"  Token         {identity.token(user, secret)}",
            "",
            f"Chat in another terminal:  .venv/bin/parley chat --user {user}",
        ]
    return "\n".join([*emulator.template.notes, *lines, ""])
