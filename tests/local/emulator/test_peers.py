"""Limits on what a client may cost, on plain sockets: sizes, silence, and descriptors."""

import asyncio
import errno
import socket

import pytest
from parley.emulator import listener as listening
from parley.emulator.listener import Acceptor
from parley.gateway.websocket import protocol

from tests.support.served import Gateway, RawClient, frame, serving, upgrade
from tests.support.waiting import HANGS

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
SHORT = 0.2
"""A time limit that a client does not keep: a test waits for the server's end, however long it takes."""


@pytest.fixture
def gateway():
    gateway = Gateway()
    with serving(gateway) as gateway.server:
        yield gateway
    assert gateway.server.errors == []


HEADS = {
    "many headers": b"GET / HTTP/1.1\r\nHost: h\r\n" + b"".join(b"X-%d: x\r\n" % number for number in range(10_000)),
    "a large header": b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 66_000 + b"\r\n\r\n",
    "a long URL": b"GET /" + b"x" * 66_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
    "a header that does not end": b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 1_000_000,
    "a name that does not end": b"GET / HTTP/1.1\r\nHost: h\r\n" + b"x" * 1_000_000,
    "a URL that does not end": b"GET /" + b"x" * 1_000_000,
}


@pytest.mark.parametrize("head", HEADS)
def test_a_head_of_more_than_64_kb_is_refused_with_431(gateway, head):
    client = gateway.server.connect()
    client.send(HEADS[head])
    assert client.head().startswith(b"HTTP/1.1 431")
    assert client.rest() == b""
    client.leave()


def test_a_second_request_of_the_connection_has_the_same_limit(gateway):
    client = gateway.server.connect()
    client.send(REQUEST)
    assert client.head().startswith(b"HTTP/1.1 200")
    client.send(HEADS["many headers"])
    assert b"HTTP/1.1 431" in client.rest()
    client.leave()


def test_a_large_body_is_no_large_head(gateway):
    client = gateway.server.connect()
    client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n", b"x" * 1_000_000)
    assert client.head().startswith(b"HTTP/1.1 200")
    client.leave()


@pytest.mark.parametrize("body", [b"-1\r\n", b"5\r\nhelloX"])
def test_a_body_that_is_none_is_answered_with_400(gateway, body):
    client = gateway.server.connect()
    client.send(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", body)
    assert client.rest().startswith(b"HTTP/1.1 400")
    client.leave()


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01"], ids=["nothing", "the begin of a TLS handshake"])
def test_a_connection_that_says_nothing_is_dropped(gateway, monkeypatch, said):
    monkeypatch.setattr(listening, "HEAD_SECONDS", SHORT)
    client = gateway.server.connect()
    client.send(said)
    assert client.is_dropped()
    client.leave()


HALVES = {
    "a request line": b"GET / HT",
    "a header": b"GET / HTTP/1.1\r\nHost: h\r\nX-A",
    "a handshake": upgrade()[:-2],
}


@pytest.mark.parametrize("half", HALVES)
def test_half_a_head_is_answered_with_408(gateway, monkeypatch, half):
    monkeypatch.setattr(protocol, "HEAD_SECONDS", SHORT)
    client = gateway.server.connect()
    client.send(HALVES[half])
    assert client.rest().startswith(b"HTTP/1.1 408")
    client.leave()


@pytest.mark.parametrize("head", [b"Content-Length: 10", b"Transfer-Encoding: chunked"])
def test_a_request_whose_body_does_not_come_is_dropped_and_has_no_effect(gateway, monkeypatch, head):
    monkeypatch.setattr(protocol, "SILENCE_SECONDS", SHORT)
    client = gateway.server.connect()
    client.send(b"POST / HTTP/1.1\r\nHost: h\r\n" + head + b"\r\n\r\n5")
    assert client.is_dropped()
    gateway.wait_for(lambda: gateway.ended == [-1])
    client.leave()


def test_a_response_that_is_not_read_ends(gateway, monkeypatch):
    monkeypatch.setattr(protocol, "UNREAD_SECONDS", SHORT)
    client = gateway.server.connect()
    client.send(b"GET /?100000000 HTTP/1.1\r\nHost: h\r\n\r\n")
    gateway.wait_for(lambda: gateway.ended == [0])
    client.leave()


def test_an_open_websocket_may_be_silent(gateway, monkeypatch):
    monkeypatch.setattr(protocol, "SILENCE_SECONDS", SHORT)
    client = gateway.server.connect().open()
    monkeypatch.setattr(listening, "HEAD_SECONDS", SHORT)
    silent = gateway.server.connect()
    assert silent.is_dropped()
    client.send(frame(1, b"still here"))
    gateway.wait_for(lambda: gateway.received == ["still here"])
    client.leave()
    silent.leave()


def test_of_too_many_silent_connections_the_oldest_are_dropped(gateway, monkeypatch):
    monkeypatch.setattr(listening, "_MAX_SILENT", 3)
    clients = [gateway.server.connect() for _ in range(5)]
    assert [client.is_dropped() for client in clients[:2]] == [True, True]
    for client in clients[2:]:
        client.send(REQUEST)
        assert client.head().startswith(b"HTTP/1.1 200")
    for client in clients:
        client.leave()


def test_a_connection_that_has_sent_something_is_not_dropped_for_others(gateway, monkeypatch):
    """However many come in one turn of the event loop: its bytes may wait in the system while others are accepted."""
    monkeypatch.setattr(listening, "_MAX_SILENT", 1)
    clients = [gateway.server.connect() for _ in range(1)]

    async def connect_many_in_one_turn():
        for _ in range(20):
            clients.append(RawClient(gateway.server.port))
            clients[-1].send(REQUEST)

    clients[0].send(REQUEST)
    gateway.server.run(connect_many_in_one_turn())
    for client in clients:
        assert client.head().startswith(b"HTTP/1.1 200")
        client.leave()


class TestDescriptors:
    async def test_without_any_left_accepting_pauses_and_goes_on(self, monkeypatch):
        monkeypatch.setattr(listening, "ACCEPT_PAUSE_SECONDS", SHORT)
        tries, accepted = [], asyncio.Event()
        real = listening.listen("127.0.0.1", 0)
        exhausted = [True]

        class Listener(socket.socket):
            def accept(self):
                tries.append(exhausted[0])
                if exhausted[0]:
                    raise OSError(errno.EMFILE, "Too many open files")
                return super().accept()

        def protocol_made():
            accepted.set()
            return asyncio.Protocol()

        server = Listener(fileno=real.detach())
        server.setblocking(False)
        acceptor = Acceptor(server, protocol_made, lambda: pytest.fail("no TLS here"))
        acceptor.start()
        client = socket.create_connection(server.getsockname())
        client.sendall(b"G")
        for _ in range(1_000):
            await asyncio.sleep(0)
            if tries:
                break
        before = len(tries)
        for _ in range(1_000):
            await asyncio.sleep(0)
        exhausted[0] = False
        await asyncio.wait_for(accepted.wait(), HANGS)
        assert before == 1
        acceptor.stop()
        client.close()
