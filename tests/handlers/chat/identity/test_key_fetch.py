"""The fetch of a key set from servers that answer too slowly, too much, or not at all."""

import socket
import threading
import time
from contextlib import contextmanager

import pytest

from handlers.chat.concurrency import Runtime
from handlers.chat.identity import key_fetch
from tests.support.waiting import HANGS, until

SECONDS = 0.4
"""The time that a fetch has from a server that is too slow."""


@contextmanager
def server(*parts, pause=0.0):
    """Serve each connection these parts, with a pause after each one.

    Yields the URL, and an event: a client has cut its connection.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    cut = threading.Event()

    def serve(connection):
        with connection:
            try:
                connection.recv(65536)
                for part in parts:
                    connection.sendall(part)
                    time.sleep(pause)
            except OSError:
                cut.set()

    def accept():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/keys", cut
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def bytes_of(content):
    return [bytes([each]) for each in content]


HEAD = b"HTTP/1.0 200 OK\r\n\r\n"


def fetch(url, seconds=HANGS):
    return key_fetch.fetched(url, Runtime(), seconds)


def test_a_set_is_fetched():
    with server(HEAD, b'{"keys": []}') as (url, _):
        assert fetch(url) == b'{"keys": []}'


@pytest.mark.parametrize(
    "parts", [[HEAD, *bytes_of(b"x" * 100)], bytes_of(HEAD), [b"HTTP/1.0 200 OK\r\n", *bytes_of(b"a: b\r\n" * 50)]]
)
def test_a_byte_now_and_then_is_cut_when_the_time_is_over(parts):
    with server(*parts, pause=0.1) as (url, cut):
        with pytest.raises(OSError, match="no complete answer"):
            fetch(url, SECONDS)
        assert cut.wait(HANGS), "the connection was not cut"
    # Else a fetch that was cut goes on.
    until(lambda: not any(thread.name == "key-fetch" for thread in threading.enumerate()))


def test_a_server_that_says_nothing_or_is_not_there():
    with server() as (url, _), pytest.raises(OSError, match=r".+"):
        fetch(url, SECONDS)
    with pytest.raises(OSError, match="refused"):
        fetch(url)


@pytest.mark.parametrize("size", [key_fetch.MAX_BYTES + 1, 10_000_000])
def test_too_much(size):
    with server(HEAD, b" " * size) as (url, _), pytest.raises(ValueError, match="65536"):
        fetch(url)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n",
        b"HTTP/1.0 500 No\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n",
    ],
    ids=["redirect", "500", "no HTTP", "bad chunk", "200 headers"],
)
def test_what_is_no_answer(answer):
    with server(answer) as (url, _), pytest.raises((OSError, ValueError)):
        fetch(url)
