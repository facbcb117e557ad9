"""A client that is cut off after any frame of a reply comes back and ends with exactly its text."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from websockets.exceptions import ConnectionClosed

from tests.faults.reading import Reading
from tests.faults.users import ChatUser, check
from tests.support.devices import Device, Emulator

CUTS = 16


def read(device: Device, reading: Reading, frames: int | None) -> int:
    """Read so many frames of a reply, or up to its end. Returns how many came."""
    came = 0
    while (frames is None or came < frames) and not reading.completes:
        frame = device.receive_any()
        if frame["type"].startswith("assistant_message"):
            reading.take_frame(frame)
            assert not reading.missing
            came += 1
    return came


def cut_and_resumed(emulator: Emulator, user: ChatUser, cut: int, started: list[Device]) -> Reading:
    """Be cut off after so many frames, come back on a new connection, and read to the end."""
    reading = Reading()
    device = started[cut]
    read(device, reading, cut)
    device.socket.close()
    if reading.completes:
        return reading
    again = Device(emulator.websocket_url)
    again.connection_id()
    again.join(user.user_id)
    message_id = next(iter(user.readings))
    again.send("join_chat", chatId=user.chat_id, resume=reading.resume(message_id))
    read(again, reading, None)
    again.socket.close()
    return reading


def joined(emulator: Emulator, user: ChatUser) -> Device:
    device = Device(emulator.websocket_url)
    device.connection_id()
    device.join(user.user_id, user.chat_id)
    return device


def test_at_every_frame_while_the_reply_runs(emulator):
    user = ChatUser(emulator)
    devices = [joined(emulator, user) for _ in range(CUTS)]
    user.say("/long 600")
    user.wait("assistant_message_token")
    with ThreadPoolExecutor(8) as pool:
        readings = list(pool.map(lambda cut: cut_and_resumed(emulator, user, cut, devices), range(CUTS)))
    whole = user.reply()
    assert whole.text == whole.completes[0]["content"]
    for reading in readings:
        assert reading.text == whole.text
        assert [complete["content"] for complete in reading.completes] == [whole.text]
    check(user)
    user.leave()


def test_at_every_offset_when_the_reply_is_over(emulator):
    user = ChatUser(emulator)
    whole = user.ask("/long 12")
    message_id = next(iter(user.readings))
    device = Device(emulator.websocket_url)
    device.connection_id()
    device.join(user.user_id)
    for offset in range(len(whole.text) + 1):
        reading = Reading(attempt=1, text=whole.text[:offset])
        device.send("join_chat", chatId=user.chat_id, resume=reading.resume(message_id))
        read(device, reading, None)
        assert reading.text == whole.text
        assert reading.completes[0]["content"] == whole.text
    device.socket.close()
    user.leave()


def test_a_second_device_that_joins_in_the_middle_reads_all_of_it(emulator):
    user = ChatUser(emulator)
    user.say("/long 200")
    user.wait("assistant_message_token")
    other = ChatUser(emulator, user.user_id, user.chat_id)
    assert other.reply().text == user.reply().text
    check(user)
    check(other)
    for device in (user, other):
        device.leave()


def in_time(emulator: Emulator, work: Callable[[Device], Any]) -> tuple[Device, Any]:
    """Do something on a new connection of alice's. If it ends before that, as on a busy machine, do it again."""
    while True:
        device = Device(emulator.websocket_url)
        with suppress(ConnectionClosed):
            device.join("alice")
            return device, work(device)


def test_a_reply_that_outlives_its_connection_is_read_to_the_end_on_the_next_one():
    """API Gateway ends every connection after two hours; here after four seconds, and the reply takes ten."""
    emulator = Emulator(PARLEY_CONNECTION_LIMIT="4", PARLEY_TOKENS_PER_SECOND="40")

    def asked(device):
        chat_id = device.create_chat()
        device.send("message", message="/long 400")
        device.receive("user_message")
        return chat_id

    try:
        reading, codes, message_id = Reading(), [], None
        device, chat_id = in_time(emulator, asked)
        while not reading.completes:
            try:
                read(device, reading, 1)
                message_id = message_id or device.frames[-1]["data"]["messageId"]
            except ConnectionClosed as closed:
                codes.append(closed.rcvd.code)
                resume = reading.resume(message_id) if message_id else None
                more = {"resume": resume} if resume else {}
                device, _ = in_time(emulator, lambda new, more=more: new.send("join_chat", chatId=chat_id, **more))
        assert codes == [1001] * len(codes)
        assert len(codes) >= 2
        assert reading.text == reading.completes[0]["content"]
    finally:
        emulator.stop()
