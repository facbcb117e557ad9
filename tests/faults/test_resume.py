"""A client that is cut off after any frame of a reply comes back and ends with exactly its text."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from websockets.exceptions import ConnectionClosed

from tests.faults.people import Person, check
from tests.faults.reading import Reading
from tests.support.devices import Device, Emulator

CUTS = 16


def read(device: Device, reading: Reading, frames: int | None) -> int:
    """Read so many frames of a reply, or up to its end. Returns how many came."""
    came = 0
    while (frames is None or came < frames) and not reading.completes:
        frame = device.receive_any(30)
        if frame["type"] == "assistant_message_complete":
            reading.end(frame["data"])
        elif frame["type"].startswith("assistant_message"):
            reading.take(frame["data"], frame["data"].get("token", frame["data"].get("content")))
            assert not reading.missing
        else:
            continue
        came += 1
    return came


def cut_and_resumed(emulator: Emulator, person: Person, cut: int, started: list[Device]) -> Reading:
    """Be cut off after so many frames, come back on a new connection, and read to the end."""
    reading = Reading()
    device = started[cut]
    read(device, reading, cut)
    device.socket.close()
    if reading.completes:
        return reading
    again = Device(emulator.websocket_url)
    again.connection_id()
    again.join(person.user)
    message_id = next(iter(person.readings))
    again.send("join_chat", chatId=person.chat_id, resume=reading.resume(message_id))
    read(again, reading, None)
    again.socket.close()
    return reading


def joined(emulator: Emulator, person: Person) -> Device:
    device = Device(emulator.websocket_url)
    device.connection_id()
    device.join(person.user, person.chat_id)
    return device


def test_at_every_frame_while_the_reply_runs(emulator):
    person = Person(emulator)
    devices = [joined(emulator, person) for _ in range(CUTS)]
    person.say("/long 600")
    person.wait("assistant_message_token")
    with ThreadPoolExecutor(8) as pool:
        readings = list(pool.map(lambda cut: cut_and_resumed(emulator, person, cut, devices), range(CUTS)))
    whole = person.reply()
    assert whole.text == whole.completes[0]["content"]
    for reading in readings:
        assert reading.text == whole.text
        assert [complete["content"] for complete in reading.completes] == [whole.text]
    check(person)
    person.leave()


def test_at_every_offset_when_the_reply_is_over(emulator):
    person = Person(emulator)
    whole = person.ask("/long 12")
    message_id = next(iter(person.readings))
    device = Device(emulator.websocket_url)
    device.connection_id()
    device.join(person.user)
    for offset in range(len(whole.text) + 1):
        reading = Reading(attempt=1, text=whole.text[:offset])
        device.send("join_chat", chatId=person.chat_id, resume=reading.resume(message_id))
        read(device, reading, None)
        assert reading.text == whole.text
        assert reading.completes[0]["content"] == whole.text
    device.socket.close()
    person.leave()


def test_a_second_device_that_joins_in_the_middle_reads_all_of_it(emulator):
    person = Person(emulator)
    person.say("/long 200")
    person.wait("assistant_message_token")
    other = Person(emulator, person.user, person.chat_id)
    assert other.reply().text == person.reply().text
    check(person)
    check(other)
    for device in (person, other):
        device.leave()


def test_a_reply_that_outlives_its_connection_is_read_to_the_end_on_the_next_one():
    """API Gateway ends every connection after two hours; here after two seconds."""
    emulator = Emulator(PARLEY_CONNECTION_LIMIT="2", PARLEY_TOKENS_PER_SECOND="40")
    try:
        device, reading, codes = Device(emulator.websocket_url), Reading(), []
        device.join("alice")
        chat_id = device.create_chat()
        device.send("message", message="/long 180")
        device.receive("user_message")
        message_id = None
        while not reading.completes:
            try:
                read(device, reading, 1)
                message_id = message_id or device.frames[-1]["data"]["messageId"]
            except ConnectionClosed as closed:
                codes.append(closed.rcvd.code)
                device = Device(emulator.websocket_url)
                device.join("alice")
                device.send("join_chat", chatId=chat_id, resume=reading.resume(message_id))
        assert codes == [1001] * len(codes)
        assert len(codes) >= 2
        assert reading.text == reading.completes[0]["content"]
    finally:
        emulator.stop()
