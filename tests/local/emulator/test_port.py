"""The port of the emulator, and the one line if it cannot be had."""

import errno
import socket

import pytest
from parley.emulator.port import listen
from parley.errors import StartError


def test_a_port_that_is_taken_is_one_line_with_the_next_step():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            StartError, match=f"Cannot listen on 127.0.0.1:{port}: another program listens there"
        ) as error:
            listen("127.0.0.1", port)
    assert "`parley up --port 8001`" in str(error.value)
    assert "\n" not in str(error.value)


def test_another_reason_is_told_with_the_options_that_change_it(monkeypatch):
    def refused(*_):
        raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")

    monkeypatch.setattr(socket.socket, "bind", refused)
    with pytest.raises(StartError, match=r"Cannot assign requested address\. Choose .* --host, .* --port"):
        listen("192.0.2.1", 8000)
