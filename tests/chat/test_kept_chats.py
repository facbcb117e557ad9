"""A chat goes on after the emulator was killed: its messages are there, and a reply that ran comes to its end."""

from __future__ import annotations

import signal

import pytest

from tests.support import engines
from tests.support.devices import Device, Emulator

REPLY = "/long 200"
"""A message whose reply takes 40 s at five tokens a second, and a moment without pauses."""


PING_SECONDS = 1.0


@pytest.fixture
def start(tmp_path):
    engines.binary()
    started: list[Emulator] = []

    def run(**variables: str) -> Emulator:
        started.append(Emulator(PARLEY_DATA=str(tmp_path / "data"), **variables))
        return started[-1]

    yield run
    for each in started:
        if each.process.poll() is None:
            each.stop()


def read_to_the_end(device: Device, message_id: str) -> None:
    """Wait for the end of a reply, with the pings of a client. One of them takes over what the dead worker has left."""
    while True:
        try:
            frame = device.receive_any(PING_SECONDS)
        except TimeoutError:
            device.send("ping")
            continue
        if frame["type"] == "assistant_message_complete" and frame["data"]["messageId"] == message_id:
            return


def test_the_chat_goes_on_after_sigkill(start):
    first = start(PARLEY_TOKENS_PER_SECOND="5")
    alice = Device(first.websocket_url)
    alice.join("alice")
    chat_id = alice.create_chat()
    alice.send("message", message=REPLY)
    alice.receive("user_message")
    message_id = alice.receive("assistant_message_start")["data"]["messageId"]
    first.stop(signal.SIGKILL)

    second = start()
    again = Device(second.websocket_url)
    joined = again.join("alice", chat_id)
    assert joined is not None
    assert [each["content"] for each in joined["messages"] if each["role"] == "user"] == [REPLY]
    if not any(each["role"] == "assistant" for each in joined["messages"]):
        read_to_the_end(again, message_id)
    assert again.ask("И дальше?")[-1]["data"]["finishReason"] == "stop"
