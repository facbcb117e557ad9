"""The CPU for the stream of one answer: the openai client's own chunks against our reader of its bytes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from statistics import median

import httpx2
from openai import AsyncOpenAI
from rich.table import Table

from handlers.chat.replies.deltas import DeltaReader

ROUNDS, CHUNKS = 15, 500
GOAL = 0.5


class _Stream(httpx2.AsyncByteStream):
    """A body of `CHUNKS` chunks, each in a piece of its own."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for number in range(CHUNKS):
            yield _event({"content": f" word{number}"}, None)
        yield _event({}, "stop") + b"data: [DONE]\n\n"


def _event(delta: dict[str, str], reason: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def table() -> Table:
    """Measure both in turns, and return the medians as a table."""
    ways = {"the client's chunks": _read_chunks, "handlers.chat.replies.deltas": _read_bytes}
    measured: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(ROUNDS + 1):
        for name, read in ways.items():
            started = time.process_time()
            assert asyncio.run(read()) == CHUNKS
            if round_:  # the first one imports
                measured[name].append((time.process_time() - started) * 1000)
    processor = {name: median(times) for name, times in measured.items()}
    result = Table("read by", "CPU, ms", "share", f"goal: ≤ {GOAL}", title=f"An answer of {CHUNKS} chunks")
    first, ours = processor.values()
    result.add_row("the client's chunks", f"{first:.1f}", "1.00", "")
    result.add_row("our reader", f"{ours:.1f}", f"{ours / first:.2f}", "ok" if ours / first <= GOAL else "missed")
    return result


def _client() -> AsyncOpenAI:
    transport = httpx2.MockTransport(
        lambda request: httpx2.Response(200, headers={"Content-Type": "text/event-stream"}, stream=_Stream())
    )
    return AsyncOpenAI(api_key="k", base_url="http://model/v1", http_client=httpx2.AsyncClient(transport=transport))


async def _read_chunks() -> int:
    async with _client() as client:
        stream = await client.chat.completions.create(model="m", messages=[], stream=True)
        return sum([1 async for chunk in stream if chunk.choices and chunk.choices[0].delta.content])


async def _read_bytes() -> int:
    async with _client() as client:
        stream = await client.chat.completions.create(model="m", messages=[], stream=True)
        reader, count = DeltaReader(), 0
        async with stream:
            async for piece in stream.response.aiter_bytes():
                count += sum(bool(delta.text) for delta in reader.feed(piece))
        return count
