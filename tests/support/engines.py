"""The DynamoDB engines of the emulator, each behind a real server, as functions reach them."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
import uvicorn
from moto.dynamodb.models import dynamodb_backends
from parley.asgi import Response, read_body
from parley.clock import Clock
from parley.dev_tokens import user_folder
from parley.dynamodb.dynoxide import install
from parley.dynamodb.dynoxide.engine import Dynoxide
from parley.dynamodb.engine import Database, Engine
from parley.dynamodb.fallback.engine import Moto
from parley.errors import StartError
from parley.gateway.events import decode_headers
from parley.trace import Trace

from tests.support.waiting import IDLE

DYNOXIDE, MOTO = "dynoxide", "moto"
ENGINES = (DYNOXIDE, MOTO)


def binary() -> Path:
    """Return Dynoxide's program. Skip the test where there is none."""
    found = install.installed(user_folder(os.environ), os.environ)
    if found is None:
        pytest.skip(install.absence())
    return found


def engine(name: str, trace: Trace) -> Engine:
    """Return an engine that is not started yet."""
    return Dynoxide(binary(), trace.record, Clock().within) if name == DYNOXIDE else Moto(Clock(), "a test")


def client(endpoint: str, **more: Any) -> Any:
    keys = {"aws_access_key_id": "emulator", "aws_secret_access_key": "emulator"}
    return boto3.client("dynamodb", endpoint_url=endpoint, **{"region_name": "us-east-1", **keys, **more})


class Failing:
    """An engine that answers what it is given, or raises it. With a `StartError` it does not start."""

    description = "failing"
    keeps = False

    def __init__(self, result: Response | Exception) -> None:
        self._result = result

    async def start(self) -> None:
        """Start, or raise the error."""
        if isinstance(self._result, StartError):
            raise self._result

    async def stop(self) -> None:
        """Do nothing."""

    async def answer(self, headers: Mapping[str, str], body: bytes) -> Response:
        if isinstance(self._result, Exception):
            raise self._result
        return self._result


@contextmanager
def served(name: str) -> Iterator[str]:
    """Run an engine behind a server in another thread, and give its URL."""
    trace = Trace()
    database = Database(engine(name, trace), trace.record)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        answer = await database.answer(dict(decode_headers(scope["headers"])), await read_body(receive))
        await answer.send(send)

    server = uvicorn.Server(
        uvicorn.Config(application, port=0, lifespan="off", log_config=None, timeout_keep_alive=IDLE)
    )
    started = threading.Event()
    failures: list[BaseException] = []

    async def serve() -> None:
        try:
            await database.start()
            serving = asyncio.create_task(server.serve())
            while not (server.started or serving.done()):  # noqa: ASYNC110 - uvicorn tells it in no other way
                await asyncio.sleep(0.01)
        except BaseException as failure:
            failures.append(failure)
            raise
        finally:
            started.set()
        await serving
        await database.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    started.wait()
    if failures:
        thread.join()
        raise failures[0]
    try:
        host, port = server.servers[0].sockets[0].getsockname()
        yield f"http://{host}:{port}/_parley/dynamodb"
    finally:
        server.should_exit = True
        thread.join()
        if name == MOTO:
            # moto's data are the process's own.
            dynamodb_backends.reset()
