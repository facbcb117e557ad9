"""What a turn adds to the model's own first token: from the message sent to the first token on the device."""

from __future__ import annotations

import time
from statistics import median

from openai import OpenAI
from rich.table import Table

from tests.devices import Device, Emulator

TURNS, WARMING = 25, 5
TOKENS_PER_SECOND = 50
MESSAGE = "/long 20"
GOAL_MS = 30


def table() -> Table:
    """Ask the model directly and through a turn, one after the other; return the medians as a table."""
    emulator = Emulator(PARLEY_TOKENS_PER_SECOND=str(TOKENS_PER_SECOND))
    try:
        client = OpenAI(base_url=f"{emulator.url}/v1", api_key="none-needed")
        device = Device(emulator.websocket_url)
        device.join("alice", _new_chat(device))
        pairs = [(_directly(client), _by_a_turn(device)) for _ in range(TURNS)][WARMING:]
        device.socket.close()
    finally:
        emulator.stop()
    directly, by_a_turn = (median(times) * 1000 for times in zip(*pairs, strict=True))
    added = by_a_turn - directly
    title = f"First token on the warm emulator, median of {TURNS - WARMING} turns"
    result = Table("asked", "first token after, ms", "added, ms", f"goal: ≤ {GOAL_MS} ms added", title=title)
    result.add_row("the model itself, openai client", f"{directly:.1f}", "", "")
    result.add_row("in a chat", f"{by_a_turn:.1f}", f"{added:.1f}", "ok" if added <= GOAL_MS else "missed")
    return result


def _new_chat(device: Device) -> str:
    device.join("alice")
    return device.create_chat()


def _directly(client: OpenAI) -> float:
    started = time.perf_counter()
    stream = client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": MESSAGE}], stream=True
    )
    tokens = (chunk for chunk in stream if chunk.choices and chunk.choices[0].delta.content)
    next(tokens)
    took = time.perf_counter() - started
    for _ in tokens:
        pass
    return took


def _by_a_turn(device: Device) -> float:
    started = time.perf_counter()
    device.send("message", message=MESSAGE)
    _receive_until(device, "assistant_message_token")
    took = time.perf_counter() - started
    _receive_until(device, "assistant_message_complete")
    return took


def _receive_until(device: Device, kind: str) -> None:
    while (frame := device.receive_any())["type"] != kind:
        assert frame["type"] != "error", frame
