"""The conformance template, running: here, or in an account of AWS's. Tests see no difference."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.support.devices import Emulator

TEMPLATE = Path(__file__).with_name("template.yaml")
SECONDS = 60
"""How long a test waits for what must come."""


class ConformanceStack:
    """The stages of the template by their names, `main` among them. `emulator` is None for one on AWS."""

    def __init__(self, urls: Mapping[str, str], emulator: Emulator | None = None) -> None:
        self.urls = urls
        self.emulator = emulator

    @classmethod
    def here(cls, **variables: str) -> ConformanceStack:
        """Start an emulator. `variables` are its options."""
        emulator = Emulator(PARLEY_TEMPLATE=str(TEMPLATE), PARLEY_USERS="", PARLEY_IAM="enforce", **variables)
        stages = ("main", "strict", "guarded", "signed", "throttled", "composite")
        return cls({stage: f"ws://127.0.0.1:{emulator.port}/{stage}" for stage in stages}, emulator)

    @classmethod
    def on_aws(cls, url: str) -> ConformanceStack:
        """Return the deployment whose main stage has this URL. It knows the other ones."""
        client = ConformanceClient(url)
        urls = client.ask({"action": "apis"})["urls"]
        client.leave()
        return cls({"main": url, **urls})

    def connect(self, stage: str = "main", query: Mapping[str, Any] | None = None, **options: Any) -> ConformanceClient:
        """Open a connection. Raises `InvalidStatus` where that is refused."""
        url = self.urls[stage]
        return ConformanceClient(f"{url}?{urlencode(query)}" if query else url, **options)

    def stop(self) -> None:
        if self.emulator is not None:
            self.emulator.stop()


class ConformanceClient:
    """A WebSocket client. `options` are those of the `websockets` library."""

    def __init__(self, url: str, **options: Any) -> None:
        plain = {
            "compression": None,
            "ping_interval": None,
            "proxy": None,
            "open_timeout": 40,
            "max_size": None,
            "legacy": True,
        }
        self.socket: ClientConnection = connect(url, **plain | options)

    def send(self, message: Any) -> None:
        """Send text or bytes as they are, anything else as JSON."""
        self.socket.send(message if isinstance(message, str | bytes) else json.dumps(message))

    def receive(self, seconds: float = SECONDS) -> str:
        """The next frame, as it is. Raises `TimeoutError`."""
        return str(self.socket.recv(seconds))

    def frame(self) -> dict[str, Any]:
        """The next frame, which is JSON."""
        frame = json.loads(self.receive())
        assert isinstance(frame, dict), frame
        return frame

    def ask(self, message: Any) -> dict[str, Any]:
        """Send a message, and return the one frame that comes for it."""
        self.send(message)
        return self.frame()

    def is_open(self) -> bool:
        """True if messages get through, and no frame came before the answer."""
        return self.ask({"n": "still there?"}).get("n") == "still there?"

    def connection_id(self) -> str:
        """The connection's id, as its events have it."""
        return str(self.ask({})["connectionId"])

    def observed(self, subject: str, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """Return events of a kind that functions got, by the id or the tag of a connection: at least `count`."""
        found = self.ask({"action": "observed", "subject": subject, "kind": kind, "count": count})["found"]
        assert len(found) >= count, f"{len(found)} of {count} events {kind} of {subject}"
        return list(found)

    def manage(self, method: str, connection_id: str, **more: Any) -> dict[str, Any]:
        """Have a function call @connections with boto3, or with `raw` by a plain request; return what it came to."""
        return self.ask({"action": "manage", "method": method, "connectionId": connection_id, **more})

    def end(self, seconds: float = SECONDS) -> tuple[int | None, str | None]:
        """Receive until the other side closes the connection; return its code and its reason."""
        with suppress(ConnectionClosed):
            while True:
                self.receive(seconds)
        return self.socket.close_code, self.socket.close_reason

    def leave(self) -> None:
        self.socket.close()


Connect = Callable[..., ConformanceClient]


def refusal(connecting: Connect, *arguments: Any, **options: Any) -> InvalidStatus:
    """Return how a handshake is refused, which it must be."""
    try:
        connecting(*arguments, **options)
    except InvalidStatus as refused:
        return refused
    raise AssertionError("the handshake was not refused")
