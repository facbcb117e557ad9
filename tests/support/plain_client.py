"""A WebSocket client that knows no protocol."""

from __future__ import annotations

from websockets.sync.client import connect

from tests.support.waiting import HANGS


class PlainClient:
    """A WebSocket client that knows nothing of any protocol."""

    def __init__(self, emulator, path, **headers):
        url = f"ws://127.0.0.1:{emulator.port}{path}"
        self.socket = connect(url, additional_headers=headers, compression=None, open_timeout=HANGS, legacy=True)

    def ask(self, text):
        self.socket.send(text)
        return self.socket.recv(HANGS)
