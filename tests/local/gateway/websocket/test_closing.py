"""Ends of connections as a plain socket sees them: a close frame arrives, however much of the client is unread."""

import asyncio
import struct

import pytest
from parley.gateway.websocket import transport
from parley.gateway.websocket.transport import LingeringTransport

from tests.support.recording_socket import UnsentTransport
from tests.support.served import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    Gateway,
    code_of,
    frame,
    serving,
    upgrade,
)
from tests.support.waiting import HANGS, until

UNREAD = frame(TEXT, b"x" * 30_000) * 70
"""2 MB, more than the kernel holds for a server that does not read."""

TOO_LARGE = frame(TEXT, b"x" * 32_769)
NOT_UTF8 = frame(TEXT, b"\xff\xfe")
FAULTS = {
    "a frame of more than 32 KB": (TOO_LARGE, 1009),
    "a message of more than 128 KB": (
        frame(TEXT, b"x" * 32_768, fin=False) + frame(CONTINUATION, b"x" * 32_768, fin=False) * 4,
        1009,
    ),
    "a length of 2 to the power of 62": (b"\x81\xff" + struct.pack(">Q", 2**62) + b"\0\0\0\0", 1009),
    "a text that is not UTF-8": (NOT_UTF8, 1007),
    "fragments that are not UTF-8": (frame(TEXT, b"\xd0", fin=False) + frame(CONTINUATION, b"x"), 1007),
    "a frame without a mask": (frame(TEXT, b"x", masked=False), 1002),
    "a reserved bit": (frame(TEXT, b"x", reserved=4), 1002),
    "an unknown opcode": (frame(3, b"x"), 1002),
    "a continuation of nothing": (frame(CONTINUATION, b"x"), 1002),
    "a message within a message": (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    "a ping of 126 bytes": (frame(PING, b"x" * 126), 1002),
    "a ping in fragments": (frame(PING, b"x", fin=False), 1002),
    "a close frame of one byte": (frame(CLOSE, b"x"), 1002),
    "a close frame with the code 999": (frame(CLOSE, struct.pack(">H", 999)), 1002),
    "a close frame within a message": (frame(TEXT, b"a", fin=False) + frame(CLOSE, struct.pack(">H", 1000)), 1002),
    "too large after not UTF-8": (NOT_UTF8 + TOO_LARGE, 1009),
    "the client's own close": (frame(CLOSE, struct.pack(">H", 4000) + b"bye"), 4000),
    "not UTF-8 before the client's own close": (NOT_UTF8 + frame(CLOSE, struct.pack(">H", 4000)), 4000),
}


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def gateway(request):
    gateway = Gateway()
    with serving(gateway, request.param) as gateway.server:
        yield gateway
    assert gateway.server.errors == []


@pytest.mark.parametrize("unread", [b"", UNREAD], ids=["nothing unread", "2 MB unread"])
@pytest.mark.parametrize("fault", FAULTS)
def test_the_close_frame_arrives(gateway, fault, unread):
    data, code = FAULTS[fault]
    client = gateway.server.connect().open()
    client.send(data, unread)
    assert client.close_code() == code
    client.leave()


@pytest.mark.parametrize("fault", FAULTS)
def test_over_tls_it_arrives_while_bytes_still_come(gateway, fault, monkeypatch):
    monkeypatch.setattr(transport, "QUIET_SECONDS", HANGS)
    data, code = FAULTS[fault]
    client = gateway.server.connect(tls=True).open()
    client.send(data, frame(TEXT, b"x" * 30_000))
    assert code_of(client.frames_until_close()[-1]) == code
    client.leave()


def test_over_tls_the_connection_is_closed_once_the_client_is_quiet(gateway):
    client = gateway.server.connect(tls=True).open()
    client.send(frame(CONTINUATION, b"x"))
    assert client.close_code() == 1002
    client.leave()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_a_connection_that_is_kept_for_further_requests_ends_at_once(gateway, tls, monkeypatch):
    """After the decision to close it, nothing is read as if it were handled."""
    monkeypatch.setattr(transport, "QUIET_SECONDS", HANGS)
    monkeypatch.setattr(transport, "LINGER_SECONDS", HANGS)
    before = set(gateway.server.protocols())
    client = gateway.server.connect(tls=tls)
    client.send(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert client.head().startswith(b"HTTP/1.1 200")
    assert client.socket.recv(10) == b"0"
    [protocol] = set(gateway.server.protocols()) - before
    gateway.server.loop.call_soon_threadsafe(protocol.timeout_keep_alive_handler)
    assert client.rest() == b""
    client.leave()  # over TLS the server waits for the client's own end
    until(lambda: protocol not in gateway.server.protocols())


@pytest.mark.parametrize("fault", FAULTS)
def test_the_application_is_told_the_same_code_once(fault):
    data, code = FAULTS[fault]
    gateway = Gateway()
    with serving(gateway) as server:
        client = server.connect().open()
        client.send(data)
        client.rest()
        client.leave()
        gateway.wait_for(lambda: bool(gateway.ended))
    assert gateway.ended == [code]


def test_what_came_before_the_fault_in_the_same_packet_is_received():
    gateway = Gateway()
    with serving(gateway) as server:
        client = server.connect().open()
        client.send(frame(TEXT, b"first"), frame(TEXT, b"second"), TOO_LARGE)
        assert client.close_code() == 1009
        client.leave()
        gateway.wait_for(lambda: bool(gateway.ended))
    assert gateway.received == ["first", "second"]


def test_a_client_that_ends_its_side_after_the_fault_still_reads_the_close_frame(gateway):
    client = gateway.server.connect().open()
    client.send(frame(BINARY, b"x"), TOO_LARGE)
    client.socket.shutdown(1)
    assert client.close_code() == 1009
    client.leave()


REFUSED = {
    "no key": upgrade().replace(b"Sec-WebSocket-Key", b"X-Key"),
    "an old version": upgrade().replace(b"Version: 13", b"Version: 8"),
    "a line of 10 KB": upgrade("/live", b"X-Long: " + b"x" * 10_000),
    "200 headers": upgrade("/live", *(b"X-%d: x" % number for number in range(200))),
    "a long URL": upgrade("/" + "x" * 9_000),
}


@pytest.mark.parametrize("unread", [b"", UNREAD], ids=["nothing unread", "2 MB unread"])
@pytest.mark.parametrize("request_", REFUSED)
def test_a_handshake_that_is_none_is_answered_with_4xx(gateway, request_, unread):
    client = gateway.server.connect()
    client.send(REFUSED[request_], unread)
    assert client.rest().startswith(b"HTTP/1.1 4")
    client.leave()


def test_a_bad_request_is_answered_however_much_is_unread(gateway):
    client = gateway.server.connect()
    client.send(b"NONSENSE\r\n\r\n", UNREAD)
    assert client.rest().startswith(b"HTTP/1.1 400")
    client.leave()


@pytest.mark.parametrize("fault", ["a frame of more than 32 KB", "a text that is not UTF-8", "the client's own close"])
def test_sending_to_a_connection_that_ends_finds_it_gone(fault):
    """In the very turn of the event loop in which the close frame is written, before the application knows of it."""
    data, _ = FAULTS[fault]
    gateway = Gateway()
    outcomes = []
    with serving(gateway) as server:
        client = server.connect().open()
        client.send(frame(TEXT, b"wait"))
        gateway.wait_for(lambda: gateway.received == ["wait"])
        [protocol] = [each for each in server.protocols() if hasattr(each, "conn")]

        async def feed_and_send():
            protocol.data_received(data)
            try:
                await gateway.sends[0]({"type": "websocket.send", "text": "late"})
            except OSError as gone:
                outcomes.append(type(gone).__name__)

        server.run(feed_and_send())
        assert [opcode for opcode, _ in client.frames_until_close()] == [CLOSE]
        client.leave()
    assert outcomes == ["ClientDisconnected"]


@pytest.mark.parametrize(
    ("unsent", "looks"), [([0, 0], 2), ([9, 9], 2), ([9, 5, 1, 0, 0], 5), ([9, 9, 5], 2), ([9, 5, 5, 0], 3)]
)
async def test_an_end_takes_as_long_as_the_client_reads_on(monkeypatch, unsent, looks):
    monkeypatch.setattr(transport, "LINGER_SECONDS", 0.01)
    connection = UnsentTransport(*unsent)
    connection.is_closing = lambda: False
    LingeringTransport(connection).close()
    await asyncio.wait_for(connection.aborted.wait(), HANGS)
    assert len(unsent) - len(connection.sizes) == looks
    assert connection.calls.count("abort") == 1
