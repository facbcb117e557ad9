"""The DynamoDB that the options ask for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from parley.clock import Clock
from parley.dev_tokens import user_folder
from parley.dynamodb.dynoxide import install
from parley.dynamodb.dynoxide.engine import Dynoxide
from parley.dynamodb.engine import Database, Engine
from parley.dynamodb.fallback.engine import Moto
from parley.dynamodb.forwarded import Forwarded
from parley.emulator.options import MOTO, Options
from parley.trace import Trace


def database(
    options: Options, environ: Mapping[str, str], importing: Lock, trace: Trace, clock: Clock
) -> Database | None:
    """Return the part that answers DynamoDB's requests; None if functions call a DynamoDB elsewhere by themselves."""
    if options.embeds_dynamodb:
        return Database(_embedded(options, environ, importing, trace, clock), trace.record)
    return Database(Forwarded(options.dynamodb), trace.record) if options.intercepts_dynamodb else None


def _embedded(options: Options, environ: Mapping[str, str], importing: Lock, trace: Trace, clock: Clock) -> Engine:
    if options.dynamodb == MOTO:
        return Moto(importing, clock.time, "--dynamodb moto")
    binary = install.installed(user_folder(environ), environ)
    return Dynoxide(binary, trace.record, clock.within) if binary else Moto(importing, clock.time, install.absence())


def install_embedded(environ: Mapping[str, str]) -> Path:
    """Install the engine that `parley up` embeds, if it is not there, and return its program. Raises `StartError`."""
    return install.install(user_folder(environ), environ)
