"""An echo in JavaScript, posted back with the AWS SDK v3: one connection, and cold starts.

`SERVERLESS_OFFLINE=1` has the same handler measured in serverless-offline, in the same run: npm installs it first, from
the lock file in `serverless_offline`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import pytest
import uvloop
from rich.table import Table
from websockets.sync.client import ClientConnection, connect

from tests.benchmarks import gateway
from tests.benchmarks.versions import met
from tests.support import npm
from tests.support.devices import Emulator, free_port

ECHO = Path(__file__).with_name("echo_node")
SERVERLESS_OFFLINE = Path(__file__).with_name("serverless_offline")
ROUNDS, MESSAGES, STARTS = 5, 400, 9
ECHO_GOAL_MS, COLD_GOAL_MS = 3.1, 255
WAIT = 60


def table() -> Table:
    """Measure, and return a table. Without Node or a registry it says why it is empty."""
    result = Table("", "echo, p50, ms", "p99, ms", "goal", "cold, ms", "goal", title="A function in Node.js")
    try:
        _measure(result)
    except pytest.skip.Exception as reason:
        result.add_row(f"not measured: {reason}")
    return result


def _measure(result: Table) -> None:
    npm.install(ECHO)
    with ExitStack() as stack:
        urls = {"parley": stack.enter_context(_parley())}
        colds = {"parley": _cold(urls["parley"])}
        if os.environ.get("SERVERLESS_OFFLINE"):
            npm.install(SERVERLESS_OFFLINE)
            urls["serverless-offline"] = stack.enter_context(_serverless_offline())
            colds["serverless-offline"] = _first(urls["serverless-offline"])
        times: dict[str, list[float]] = {name: [] for name in urls}
        for _ in range(ROUNDS):
            for name, url in urls.items():
                times[name] += uvloop.run(gateway.echoes(url, 1, MESSAGES)).times
    for name, taken in times.items():
        p50, p99, cold = median(taken), sorted(taken)[int(len(taken) * 0.99)], colds[name]
        goals = (met(p50, ECHO_GOAL_MS), met(cold, COLD_GOAL_MS)) if name == "parley" else ("", "")
        result.add_row(name, f"{p50:.2f}", f"{p99:.2f}", goals[0], f"{cold:.0f}", goals[1])


@contextmanager
def _parley() -> Iterator[str]:
    """`parley up`; the URL of its WebSocket API.

    With one environment an event waits for the end of the one before it. An echo comes a little before that end.
    """
    emulator = Emulator(PARLEY_TEMPLATE=str(ECHO / "template.yaml"), PARLEY_ENVIRONMENTS="1")
    try:
        yield f"ws://127.0.0.1:{emulator.port}/live"
    finally:
        emulator.stop()


def _cold(url: str) -> float:
    """Return the median time in ms of the first echo of a process, after the one before it has ended."""
    with connect(url, compression=None) as client:
        taken = []
        for _ in range(STARTS):
            client.send("end")
            client.recv(WAIT)  # `Internal server error`: the process has ended
            taken.append(_asked(client))
        return median(taken)


def _first(url: str) -> float:
    """Return the time in ms of the first echo."""
    with connect(url, compression=None) as client:
        return _asked(client)


def _asked(client: ClientConnection) -> float:
    began = time.perf_counter()
    client.send("hello")
    answer = client.recv(WAIT)
    assert answer == "hello", answer
    return (time.perf_counter() - began) * 1000


@contextmanager
def _serverless_offline() -> Iterator[str]:
    """serverless-offline with the same handler; the URL of its WebSocket API."""
    port, http_port, lambda_port = free_port(), free_port(), free_port()
    program = SERVERLESS_OFFLINE / "node_modules" / "serverless" / "bin" / "serverless.js"
    ports = "--websocketPort", port, "--httpPort", http_port, "--lambdaPort", lambda_port
    kept = {name: os.environ[name] for name in ("PATH", "HOME")}
    keys = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_REGION": "us-east-1"}
    quiet = {"SLS_TELEMETRY_DISABLED": "1", "SLS_NOTIFICATIONS_MODE": "off", "SLS_INTERACTIVE_SETUP_ENABLE": "0"}
    endpoint = {"AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": f"http://localhost:{port}"}
    process = subprocess.Popen(
        ["node", program, "offline", "start", *map(str, ports)],
        cwd=ECHO,
        env=kept | keys | quiet | endpoint,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "[http for websocket] listening" in line:
            break
    reader = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
    try:
        yield f"ws://localhost:{port}"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(WAIT)
        reader.wait(WAIT)
