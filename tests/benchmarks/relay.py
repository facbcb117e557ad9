"""The delay of tokens: the relay against posting each token in turn and against a fixed window.

The model and the gateway are simulated: the model produces by the clock whether or not anyone reads, a post
takes its latency. A token's delay is from when the model produced it until the post that carries it has arrived.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass, fields
from itertools import product
from multiprocessing import get_context
from statistics import median, quantiles
from threading import Event, Thread

from rich.console import Group
from rich.table import Column, Table

from handlers.chat.concurrency import Runtime
from handlers.chat.protocol import frames
from handlers.chat.protocol.frames import AssistantMessageComplete, AssistantMessageStart, AssistantMessageToken
from handlers.chat.records import FinishReason, Subscription
from handlers.chat.replies.relay import Relay
from handlers.chat.settings import Pace, Settings

RATES = (50, 100, 200, 400)
LATENCIES_MS = (0, 5, 20, 50)
ROUNDS, TOKENS = 3, 300
WINDOW = 0.04
FIRST_TOKEN_AFTER = 0.2
"""Seconds from the start frame to the model's first token."""

TOKEN = " word"
START = AssistantMessageStart(message="", message_id="m", chat_id="c")


class Gateway:
    """Takes a time for a post, and keeps when each frame arrived: half-way, for a post is a round trip."""

    def __init__(self, latency: float) -> None:
        self._latency = latency
        self.arrived: list[tuple[float, bytes]] = []

    def post(self, connection_id: str, text: bytes) -> None:
        self._travel()
        self.arrived.append((time.perf_counter(), text))
        self._travel()

    def _travel(self) -> None:
        if self._latency:
            time.sleep(self._latency / 2)


class Model:
    """Produces tokens by the clock, `rate` a second, however late they are read."""

    def __init__(self, rate: int, tokens: int) -> None:
        self.started = time.perf_counter()
        first = self.started + FIRST_TOKEN_AFTER
        self.produced = [first + number / rate for number in range(tokens)]

    def __iter__(self) -> Iterator[str]:
        for moment in self.produced:
            if (early := moment - time.perf_counter()) > 0:
                time.sleep(early)
            yield TOKEN


Way = Callable[[Gateway, Model], None]


def relay(pace: Pace) -> Way:
    """Ours."""

    def way(gateway: Gateway, model: Model) -> None:
        ours = Relay(gateway, START, lambda connection_id: None, Runtime(), pace)
        ours.follow({"c1=": Subscription("once")})
        for token in model:
            ours.add(token)
        ours.finish(_complete(ours.text))

    return way


def each_in_turn(gateway: Gateway, model: Model) -> None:
    """Post every token, and read on when it has arrived."""
    text = ""
    _post(gateway, START)
    for token in model:
        _post(gateway, AssistantMessageToken(token=token, message_id="m", offset=len(text)))
        text += token
    _post(gateway, _complete(text))


def fixed_window(gateway: Gateway, model: Model) -> None:
    """Post every 40 ms what has come, by a thread of its own, while the model is read."""
    text, sent, read = "", 0, Event()

    def post_windows() -> None:
        nonlocal sent
        while not read.wait(WINDOW) or sent < len(text):
            if piece := text[sent:]:
                _post(gateway, AssistantMessageToken(token=piece, message_id="m", offset=sent))
                sent += len(piece)

    _post(gateway, START)
    (poster := Thread(target=post_windows)).start()
    for token in model:
        text += token
    read.set()
    poster.join()
    _post(gateway, _complete(text))


def _post(gateway: Gateway, frame: frames.ServerFrame) -> None:
    gateway.post("c1=", frames.encode(frames.as_json(frame)))


def _complete(text: str) -> AssistantMessageComplete:
    return AssistantMessageComplete(
        message_id="m",
        content=text,
        timestamp="2026-11-23T12:00:00Z",
        chat_id="c",
        length=len(text),
        finish_reason=FinishReason.STOP,
    )


UNPACED, PACED = "relay, no pace", "relay, 50 to 100 ms"
WAYS: dict[str, Way] = {
    UNPACED: relay(Pace()),
    PACED: relay(Settings.of({}).relay_pace),
    "each token in turn": each_in_turn,
    "window, 40 ms": fixed_window,
}


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one reply: delays and CPU in ms; `total` in the time that the model took; `frames` with start and end."""

    first: float
    p50: float
    p99: float
    last: float
    total: float
    frames: float
    cpu: float


def measure(way: Way, rate: int, latency_ms: float, tokens: int = TOKENS) -> Measured:
    """Send one reply, and look back at it."""
    gateway = Gateway(latency_ms / 1000)
    processor, model = time.process_time(), Model(rate, tokens)
    way(gateway, model)
    cpu = time.process_time() - processor
    delays = [
        (arrived - produced) * 1000
        for arrived, produced in zip(_arrivals(gateway, tokens), model.produced, strict=True)
    ]
    centiles = quantiles(delays, n=100, method="inclusive")
    took = gateway.arrived[-1][0] - model.started
    own = model.produced[-1] - model.started
    return Measured(delays[0], centiles[49], centiles[98], delays[-1], took / own, len(gateway.arrived), cpu * 1000)


def _arrivals(gateway: Gateway, tokens: int) -> list[float]:
    """When each token had arrived. Fails for a gap, a repetition or an end that is missing."""
    arrivals: list[float] = []
    for moment, text in gateway.arrived[1:-1]:
        data = json.loads(text)["data"]
        assert data["offset"] == len(arrivals) * len(TOKEN), "a gap or a repetition"
        arrivals += [moment] * (len(data["token"]) // len(TOKEN))
    assert len(arrivals) == tokens
    return arrivals


def _of_latency(latency_ms: int) -> dict[tuple[int, str], Measured]:
    """Measure every way at every rate, in turns; return the median of each figure."""
    rounds: dict[tuple[int, str], list[Measured]] = {case: [] for case in product(RATES, WAYS)}
    for _ in range(ROUNDS):
        for (rate, name), results in rounds.items():
            results.append(measure(WAYS[name], rate, latency_ms))
    return {case: _medians(results) for case, results in rounds.items()}


def _medians(results: Sequence[Measured]) -> Measured:
    return Measured(*(median(figures) for figures in zip(*map(astuple, results), strict=True)))


def missed(name: str, latency_ms: float, measured: Measured) -> list[str]:
    """The goals that a way of ours missed, each with the figure that it should not exceed."""
    most = {"first": latency_ms + 5}
    if name == UNPACED:
        most |= {"p50": latency_ms + 5, "p99": 2 * latency_ms + 10, "total": 1.05}
    return [f"{figure} > {limit:g}" for figure, limit in most.items() if getattr(measured, figure) > limit]


def table() -> Group:
    """Measure, every latency in a process of its own at the same time, and return the medians as tables."""
    with ProcessPoolExecutor(len(LATENCIES_MS), get_context("spawn")) as processes:
        by_latency = dict(zip(LATENCIES_MS, processes.map(_of_latency, LATENCIES_MS), strict=True))
    heads = (
        "tokens/s",
        "post, ms",
        "way",
        "first, ms",
        "p50, ms",
        "p99, ms",
        "last, ms",
        "total, ×",
        "frames",
        "CPU, ms",
    )
    assert len(heads) == 3 + len(fields(Measured))
    result = Table(
        *(Column(head, no_wrap=True) for head in heads),
        "goals",
        title=f"Relay: delays of {TOKENS} tokens, median of {ROUNDS} replies",
    )
    for rate, latency_ms in product(RATES, LATENCIES_MS):
        for name in WAYS:
            measured = by_latency[latency_ms][rate, name]
            result.add_row(str(rate), str(latency_ms), name, *_cells(measured), _verdict(name, latency_ms, measured))
        result.add_section()
    return Group(result, _frames_saved())


def _cells(measured: Measured) -> Iterator[str]:
    decimals = {"total": 2, "frames": 0}
    for field in fields(Measured):
        yield f"{getattr(measured, field.name):.{decimals.get(field.name, 1)}f}"


def _verdict(name: str, latency_ms: float, measured: Measured) -> str:
    if name not in (UNPACED, PACED):
        return ""
    return ", ".join(missed(name, latency_ms, measured)) or "ok"


def _frames_saved() -> Table:
    """Measure the frames that the pace saves where posts are fast and every token would be a frame."""
    result = Table("way", "frames", "p50, ms", "goal: ≤ 80 frames", title="500 tokens at 100 tokens/s, 5 ms a post")
    for name in (UNPACED, PACED):
        measured = measure(WAYS[name], 100, 5, 500)
        met = "" if name == UNPACED else "ok" if measured.frames <= 80 else "missed"
        result.add_row(name, f"{measured.frames:.0f}", f"{measured.p50:.1f}", met)
    return result
