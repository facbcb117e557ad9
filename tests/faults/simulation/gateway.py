"""API Gateway, simulated: posts take their time, and may fail as the faults of the world say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from handlers.chat.errors import ConnectionGone, PostFailed
from tests.faults.simulation.services import SimulatedServices
from tests.support import contract

_BEGINNINGS = (b'{"type":"user_message"', b'{"type":"assistant_message_start"')


@dataclass(frozen=True)
class Arrival:
    """A frame that begins a turn on a connection: `user_message`, or the start of a reply. `seconds` are its post's."""

    frame: dict[str, Any]
    seconds: float


class SimulatedGateway:
    """API Gateway: knows the open connections, how slow each of them is, and in which order turns began on it."""

    def __init__(self, services: SimulatedServices) -> None:
        self._services = services
        self.arrivals: dict[str, list[Arrival]] = {}
        self.open: dict[str, Callable[[bytes], None]] = {}
        self.slowness: dict[str, float] = {}

    def post(self, connection_id: str, text: bytes) -> None:
        world, faults = self._services.world, self._services.faults
        slowness, began = self.slowness.get(connection_id, 0.01), world.time
        self._services.travel(slowness)
        if faults.happens(world, "post_hangs"):
            world.sleep(5)
            raise PostFailed("TimeoutError")
        if faults.happens(world, "post_fails"):
            raise PostFailed("LimitExceededException")
        receive = self.open.get(connection_id)
        if receive is None:
            raise ConnectionGone(connection_id)
        frame = json.loads(text)
        contract.received(frame)
        if text.startswith(_BEGINNINGS):
            arrival = Arrival(frame, world.time - began)
            self.arrivals.setdefault(connection_id, []).append(arrival)
        receive(text)
        self._services.travel(slowness)
        if faults.happens(world, "post_lies"):
            raise PostFailed("InternalServerError")
