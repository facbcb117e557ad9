"""The time that a turn adds to the model's first token: from the message sent to the first token on the device."""

from __future__ import annotations

import time
from statistics import median

from openai import OpenAI
from rich.table import Table

from tests.support.devices import Device, Emulator
from tests.support.unlimited import UNLIMITED

TURNS, WARMING, EARLIER = 20, 5, 20
TOKENS_PER_SECOND = 50
MESSAGE = "/long 10"
GOAL_MS = 30


def table() -> Table:
    """Ask the model directly, in a new chat and in a long one, in turns; return the medians as a table."""
    emulator = Emulator(PARLEY_TOKENS_PER_SECOND=str(TOKENS_PER_SECOND), **UNLIMITED)
    try:
        directly, new, long = (median(times) * 1000 for times in zip(*_rounds(emulator), strict=True))
    finally:
        emulator.stop()
    title = f"First token on the warm emulator, median of {TURNS} turns"
    result = Table("asked", "first token after, ms", "added, ms", f"goal: ≤ {GOAL_MS} ms added", title=title)
    result.add_row("the model itself, by the openai client", f"{directly:.1f}", "", "")
    for name, took in (("in a new chat", new), (f"in a chat of {EARLIER} turns and more", long)):
        added = took - directly
        result.add_row(name, f"{took:.1f}", f"{added:.1f}", "ok" if added <= GOAL_MS else "missed")
    return result


def _rounds(emulator: Emulator) -> list[tuple[float, float, float]]:
    client = OpenAI(base_url=f"{emulator.url}/v1", api_key="none-needed")
    in_new, in_long = _device(emulator, "alice"), _device(emulator, "bob")
    in_long.create_chat()
    for _ in range(EARLIER):
        _by_a_turn(in_long)
    rounds = []
    for _ in range(WARMING + TURNS):
        in_new.create_chat()
        rounds.append((_directly(client), _by_a_turn(in_new), _by_a_turn(in_long)))
    for device in (in_new, in_long):
        device.socket.close()
    return rounds[WARMING:]


def _device(emulator: Emulator, user: str) -> Device:
    device = Device(emulator.websocket_url)
    device.join(user)
    return device


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
