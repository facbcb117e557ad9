"""The emulator's gateway under load: an echo by a function in a process of its own, against one without a gateway.

`ECHO_URL=ws://…` has another emulator measured too, that runs `echo/app.py` and was started before.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import uvloop
from rich.table import Table
from websockets.asyncio.client import ClientConnection, connect

from tests.support.devices import PARLEY, free_port

TEMPLATE = Path(__file__).parent / "echo" / "template.yaml"
WAIT = 10.0
"""Seconds after which a message is lost."""

OPENING = 1 / 400
"""Seconds between two handshakes: API Gateway lets in 500 a second."""

CREDENTIAL = "K/20261123/us-east-1/execute-api/aws4_request"
SIGNATURE = f"AWS4-HMAC-SHA256 Credential={CREDENTIAL}, SignedHeaders=host, Signature={'0' * 64}"


@dataclass(frozen=True)
class Load:
    """The result of some messages: the time of each in ms, the number lost, and the time of all in seconds."""

    times: list[float]
    lost: int
    seconds: float
    processor: float

    @property
    def rate(self) -> float:
        return len(self.times) / self.seconds

    def row(self) -> list[str]:
        times = sorted(self.times)
        p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
        return [f"{p50:.2f}", f"{p99:.2f}", f"{self.rate:.0f}", str(self.lost), f"{self.processor / self.seconds:.2f}"]


def table() -> Table:
    """Measure both, one after the other in this run, and return a table of it."""
    result = Table(
        *("", "p50, ms", "p99, ms", "messages/s", "lost", "client's CPU", "goal", ""), title="The emulator's gateway"
    )
    with _floor() as url:
        for count, messages in ((1, 2000), (50, 20_000), (500, 20_000)):
            load = uvloop.run(echoes(url, count, messages))
            result.add_row(f"no gateway, {count} connections", *load.row(), "", "")
    if other := os.environ.get("ECHO_URL"):
        for count, messages in ((1, 200), (50, 1000), (500, 1000)):
            load = uvloop.run(echoes(other, count, messages))
            result.add_row(f"{other}, {count} connections", *load.row(), "", "")
    with _emulator() as (process, port, ready):
        url = f"ws://127.0.0.1:{port}/live"
        # First: memory that other connections have left behind would be used again.
        growth = uvloop.run(_growth(url, process.pid, 1000))
        for count, messages, goal, met in (
            (1, 2000, "p50 ≤ 2.5 ms", lambda load: median(load.times) <= 2.5),
            (50, 10_000, "≥ 800/s, none lost", lambda load: load.rate >= 800 and not load.lost),
            (500, 10_000, "none lost", lambda load: not load.lost),
        ):
            load = uvloop.run(echoes(url, count, messages))
            result.add_row(f"parley, {count} connections", *load.row(), goal, "ok" if met(load) else "missed")
        posts = _posts(port)
    for name, value, goal, met in (
        ("1,000 idle connections", f"{growth:.1f} MB", "< 25 MB", growth < 25),
        ("posts by one kept-alive client", f"{posts:.0f}/s", "≥ 2,000/s", posts >= 2000),
        ("from the command to ready", f"{ready:.2f} s", "< 1 s", ready < 1),
    ):
        result.add_row(name, value, *[""] * 4, goal, "ok" if met else "missed")
    return result


async def echoes(url: str, count: int, messages: int) -> Load:
    """Have so many connections send their next message when the last one has come back."""
    times: list[float] = []
    async with AsyncExitStack() as stack:
        connections = [await _opened(stack, url) for _ in range(count)]
        await asyncio.gather(*(_talk(each, 3, []) for each in connections))
        began, processor = time.perf_counter(), time.process_time()
        lost = sum(await asyncio.gather(*(_talk(each, messages // count, times) for each in connections)))
        return Load(times, lost, time.perf_counter() - began, time.process_time() - processor)


async def _opened(stack: AsyncExitStack, url: str) -> ClientConnection:
    await asyncio.sleep(OPENING)
    return await stack.enter_async_context(connect(url, compression=None, ping_interval=None, max_queue=None))


async def _talk(connection: ClientConnection, messages: int, times: list[float]) -> int:
    lost = 0
    for number in range(messages):
        text = json.dumps({"action": "echo", "number": number, "id": id(connection)})
        began = time.perf_counter()
        await connection.send(text)
        try:
            async with asyncio.timeout(WAIT):
                while await connection.recv() != text:
                    pass
        except TimeoutError:
            lost += 1
        times.append((time.perf_counter() - began) * 1000)
    return lost


async def _growth(url: str, pid: int, count: int) -> float:
    """Return how many MB a process grows by so many idle connections."""
    async with AsyncExitStack() as stack:
        for _ in range(50):
            await _opened(stack, url)
        before = _resident(pid)
        for _ in range(count):
            await _opened(stack, url)
        return _resident(pid) - before


def _resident(pid: int) -> float:
    match = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(match[1]) / 1024 if match else float("nan")


def _posts(port: int) -> float:
    """Return the posts a second of a plain client that keeps its connection."""
    return uvloop.run(_posted(port))


async def _posted(port: int, count: int = 6000) -> float:
    async with connect(f"ws://127.0.0.1:{port}/live", compression=None, ping_interval=None, max_queue=None) as client:
        await client.send("{}")
        await client.recv()
        trace = json.loads(_get(port, "/_parley/trace"))
        connection_id = next(each["connection_id"] for each in reversed(trace) if each["kind"] == "frame_in")
        path = f"/live/@connections/{connection_id}"
        reading = asyncio.ensure_future(_drain(client, count))
        rate = await asyncio.to_thread(_post_all, port, path, count)
        await reading
        return rate


async def _drain(client: ClientConnection, count: int) -> None:
    for _ in range(count):
        await client.recv()


def _post_all(port: int, path: str, count: int) -> float:
    server = http.client.HTTPConnection("127.0.0.1", port)
    server.connect()
    began = time.perf_counter()
    for _ in range(count):
        server.request("POST", path, b"x", {"Authorization": SIGNATURE})
        response = server.getresponse()
        response.read()
        assert response.status == 200, response.status
    return count / (time.perf_counter() - began)


def _get(port: int, path: str) -> bytes:
    server = http.client.HTTPConnection("127.0.0.1", port)
    server.request("GET", path)
    return server.getresponse().read()


@contextmanager
def _emulator() -> Iterator[tuple[subprocess.Popen[str], int, float]]:
    """`parley up`, its port, and how long it took to be ready; the second start, as after any install."""
    for start in (1, 2):
        port = free_port()
        began = time.perf_counter()
        environment = {name: os.environ[name] for name in ("PATH", "HOME")} | {"PARLEY_NO_DATA": "1"}
        process = subprocess.Popen(
            [PARLEY, "up", "--port", str(port), "--template", str(TEMPLATE)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("  Trace "):
                break
        ready = time.perf_counter() - began
        if start == 1:
            process.terminate()
            process.communicate()
    # The log goes nowhere, but must be read.
    reader = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
    try:
        yield process, port, ready
    finally:
        process.terminate()
        process.wait(10)
        reader.wait(10)


@contextmanager
def _floor() -> Iterator[str]:
    """uvicorn with an echo and nothing else, as the emulator configures it."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.gateway", str(port)])
    try:
        for _ in range(100):
            try:
                http.client.HTTPConnection("127.0.0.1", port, timeout=1).connect()
                break
            except OSError:
                time.sleep(0.05)
        yield f"ws://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(10)


async def _echo(scope, receive, send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


def _serve(port: int) -> None:
    import uvicorn

    uvicorn.run(
        _echo,
        port=port,
        ws="websockets-sansio",
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        lifespan="off",
        log_level="critical",
    )


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
