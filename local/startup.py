"""`parley up`: from options to a running emulator, and what it says of itself."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from local import identity
from local.emulator import Emulator
from local.environment import chats, given, uses_model
from local.gateway.assumptions import Assumptions
from local.gateway.quotas import TimeLimits
from local.log import Log
from local.mounts import WEBSOCKET_PATH
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
    built = {"idle_timeout", "connection_limit", "integration_timeout", "users", "assume"}
    plain = {name: value for name, value in values.items() if name not in built}
    return Options(**plain, limits=limits, users=users, assumptions=Assumptions.of(values["assume"]))


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
    emulator = Emulator(options, read(options.template, options.parameters, imports=options.imports), said, trace)

    def ready() -> None:
        click.echo(greeting(emulator, identity.secret(said)))
        # Not before: what keeps the emulator from starting is one message, not that and a log.
        for happening in trace.after(0):
            log.write(happening)
        trace.listen(log.write)

    await emulator.run(ready, log.close)


def greeting(emulator: Emulator, secret: str) -> str:
    """Return what the emulator says when it is ready."""
    parts = [emulator.template.notes, _urls(emulator)]
    if chats(emulator.template) and emulator.options.users:
        parts.append(_users(emulator.options, secret))
    return "\n".join(line for part in parts for line in part) + "\n"


def _urls(emulator: Emulator) -> list[str]:
    options = emulator.options
    host = options.url.removeprefix("http://")
    sockets = [(path, f"ws://{host}{path}") for path in emulator.mounts]
    calls = [f"{options.url}{path}/@connections/{{connectionId}}" for path, _ in sockets if path != WEBSOCKET_PATH]
    lines = [
        f"Parley is up on {options.url}  (Ctrl-C ends it)",
        "",
        *_listed("WebSocket", [url for _, url in sockets]),
        *_listed("HTTP API", [f"{options.url}{path}" for path in emulator.http_paths]),
        *_listed("@connections", calls),
        f"  DynamoDB      {'embedded, in memory' if options.dynamodb == EMBEDDED else options.dynamodb}",
    ]
    if uses_model(emulator.template):
        model = "built in; set OPENAI_API_KEY, OPENAI_BASE_URL, OPENAI_MODEL for another"
        lines.append(
            f"  Model         {model if emulator.built_in_model else 'as OPENAI_BASE_URL and OPENAI_MODEL say'}"
        )
    return [*lines, f"  Trace         {options.url}/_parley/trace"]


def _listed(name: str, values: list[str]) -> list[str]:
    """Return a line for each value, the first one after its name."""
    return [f"  {name if index == 0 else '':<14}{value}" for index, value in enumerate(values)]


def _users(options: Options, secret: str) -> list[str]:
    user = options.users[0]
    return [
        f"  Users         {', '.join(options.users)}",
        f"  Token         {identity.token(user, secret)}",
        "",
        f"Chat in another terminal:  .venv/bin/parley chat --user {user}",
    ]
