"""The cost of a post: our own PostToConnection against boto3's, to a server in another process."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from statistics import median

import boto3
from botocore.credentials import Credentials
from rich.table import Table

from handlers.chat.concurrency import Runtime
from handlers.chat.delivery.gateway import Gateway
from tests.support.management_api import ManagementApiServer

ROUNDS, POSTS = 9, 300
KEYS = Credentials("AKIDEXAMPLE", "secret", "a token, as a function's role has one")
CONNECTION_ID = "BFaT_fALIAMCKug="
FRAME = b'{"type":"assistant_message_token","data":{"token":" word","messageId":"019ab","offset":1234}}'
GOAL = 0.5


def table() -> Table:
    """Measure both in turns, and return the medians as a table."""
    with _server() as url:
        ways = {"boto3": _boto3(url), "handlers.chat.delivery.gateway": _ours(url)}
        for post in ways.values():
            _milliseconds(post)  # the first opens the connection
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, post in ways.items():
                measured[name].append(_milliseconds(post))
    processor, clock = ({name: median(times) for name, times in _nth(measured, n).items()} for n in (0, 1))
    result = Table("post", "CPU, ms", "of boto3's", "clock, ms", f"goal: CPU ≤ {GOAL} of boto3's", title="Posts")
    for name in ways:
        ratio = processor[name] / processor["boto3"]
        met = "" if name == "boto3" else "ok" if ratio <= GOAL else "missed"
        result.add_row(name, f"{processor[name]:.3f}", f"{ratio:.2f}", f"{clock[name]:.2f}", met)
    return result


def _nth(measured: dict[str, list[tuple[float, float]]], n: int) -> dict[str, list[float]]:
    return {name: [times[n] for times in pairs] for name, pairs in measured.items()}


def _boto3(url: str) -> Callable[[], object]:
    session = boto3.session.Session(KEYS.access_key, KEYS.secret_key, KEYS.token, "us-east-1")
    client = session.client("apigatewaymanagementapi", endpoint_url=url)
    return lambda: client.post_to_connection(ConnectionId=CONNECTION_ID, Data=FRAME)


def _ours(url: str) -> Callable[[], object]:
    gateway = Gateway(url, KEYS, "us-east-1", Runtime())
    return lambda: gateway.post(CONNECTION_ID, FRAME)


def _milliseconds(post: Callable[[], object]) -> tuple[float, float]:
    """CPU and clock time of one post."""
    clock, processor = time.perf_counter(), time.process_time()
    for _ in range(POSTS):
        post()
    return (time.process_time() - processor) * 1000 / POSTS, (time.perf_counter() - clock) * 1000 / POSTS


@contextmanager
def _server():
    ours, theirs = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("end")
        process.join(10)


def _serve(parent: Connection) -> None:
    server = ManagementApiServer()
    parent.send(server.url)
    parent.recv()
    server.shutdown()
