"""The time that a turn adds to the model's first token: from the message sent to the first token on the device."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from statistics import median

from openai import OpenAI
from rich.table import Table

from tests.benchmarks.versions import THIS, Version, cells, columns, met
from tests.support.devices import Device, Emulator
from tests.support.unlimited import UNLIMITED

TURNS, WARMING, EARLIER = 20, 5, 20
TOKENS_PER_SECOND = 50
MESSAGE = "/long 10"
GOAL_MS = 30
PAUSE_SECONDS = 0.2
"""The pause before each question. A person reads first, and by then the turn before has done what follows its reply."""


def table(compared: Sequence[Version] = (THIS,)) -> Table:
    """Ask the model directly, and each version in a new chat and in a long one, in turns; return the medians."""
    with ExitStack() as stack:
        running = [_Chats(version, stack) for version in compared]
        client = OpenAI(base_url=f"{running[0].emulator.url}/v1", api_key="none-needed")
        rounds = [(_directly(client), [chats.ask() for chats in running]) for _ in range(WARMING + TURNS)][WARMING:]
    directly = median(took for took, _ in rounds) * 1000
    title = f"First token on the warm emulator, median of {TURNS} turns. The model itself: {directly:.1f} ms"
    heads = columns("added to the model's time", "ms", compared)
    result = Table("asked", *heads, "goal", title=title)
    for place, name in enumerate(("in a new chat", f"in a chat of {EARLIER} turns and more")):
        added = [
            [each[place] * 1000 - directly for each in taken]
            for taken in zip(*(taken for _, taken in rounds), strict=True)
        ]
        result.add_row(name, *cells(added, ".1f"), met(median(added[0]), GOAL_MS))
    return result


class _Chats:
    """Devices that talk to one version: one in new chats, one in a long chat."""

    def __init__(self, version: Version, stack: ExitStack) -> None:
        template = str(version.folder / "infra" / "template.yaml")
        settings = {"PARLEY_TEMPLATE": template, "PARLEY_TOKENS_PER_SECOND": str(TOKENS_PER_SECOND)}
        self.emulator = Emulator(**settings, **UNLIMITED)
        stack.callback(self.emulator.stop)
        self._in_new, self._in_long = _device(self.emulator, "alice"), _device(self.emulator, "bob")
        self._in_long.create_chat()
        for _ in range(EARLIER):
            first_token(self._in_long)

    def ask(self) -> tuple[float, float]:
        """Return the times of the first token, in a new chat and in the long one."""
        self._in_new.create_chat()
        return _after_pause(self._in_new), _after_pause(self._in_long)


def _device(emulator: Emulator, user: str) -> Device:
    device = Device(emulator.websocket_url)
    device.join(user)
    return device


def _after_pause(device: Device) -> float:
    time.sleep(PAUSE_SECONDS)
    return first_token(device)


def _directly(client: OpenAI) -> float:
    time.sleep(PAUSE_SECONDS)
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


def first_token(device: Device) -> float:
    """Have a turn, and return the seconds from the message to the first token on the device."""
    started = time.perf_counter()
    device.send("message", message=MESSAGE)
    receive_until(device, "assistant_message_token")
    took = time.perf_counter() - started
    receive_until(device, "assistant_message_complete")
    return took


def receive_until(device: Device, kind: str) -> None:
    """Read a device's frames up to one of this kind. No error may come before it."""
    while (frame := device.receive_any())["type"] != kind:
        assert frame["type"] != "error", frame
