"""The DynamoDB that the options ask for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from parley.clock import Clock
from parley.dev_tokens import user_folder
from parley.dynamodb.dynoxide import install
from parley.dynamodb.dynoxide.engine import Dynoxide
from parley.dynamodb.dynoxide.process import Data, temporary_data
from parley.dynamodb.engine import Database
from parley.dynamodb.fallback.engine import Moto
from parley.dynamodb.forwarded import Forwarded
from parley.emulator.options import MOTO, Options
from parley.trace import Trace


def database(
    options: Options,
    environ: Mapping[str, str],
    trace: Trace,
    clock: Clock,
    kept: Data | None = None,
) -> Database | None:
    """Return the part that answers DynamoDB's requests; None if functions call a DynamoDB elsewhere by themselves.

    `kept` is the place for tables that are kept.
    """
    fallback = partial(Moto, clock)
    if options.dynamodb == MOTO:
        return Database(fallback("--dynamodb moto"), trace.record)
    if options.embeds_dynamodb:
        binary = install.installed(user_folder(environ), environ)
        if binary is None:
            return Database(fallback(install.absence()), trace.record)
        engine = Dynoxide(binary, trace.record, clock.within, (lambda: kept) if kept else temporary_data)
        # Tables that are kept are not to be hidden by empty ones: then what keeps the engine from starting is an error.
        return Database(engine, trace.record, None if kept else fallback)
    return Database(Forwarded(options.dynamodb), trace.record) if options.intercepts_dynamodb else None


def install_embedded(environ: Mapping[str, str]) -> Path:
    """Install the engine that `parley up` embeds, if it is not there, and return its program. Raises `StartError`."""
    return install.install(user_folder(environ), environ)
