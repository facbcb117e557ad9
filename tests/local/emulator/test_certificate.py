"""The certificate of this machine, and the port that takes TLS beside plain connections."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import stat

import certifi
import pytest
from parley.emulator.certificate import certificate
from parley.emulator.listener import Acceptor
from parley.emulator.port import listen


@pytest.fixture
def environ(tmp_path):
    return {"XDG_CACHE_HOME": str(tmp_path)}


async def ask(port, context=None, name="localhost"):
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=context and name)
    writer.write(b"GET")
    answer = await reader.read(5)
    writer.close()
    return answer


@pytest.fixture
async def port(environ):
    """A port that answers every request with `tls` or `plain`: how it came."""

    class Answering(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            self.transport.write(b"tls" if self.transport.get_extra_info("ssl_object") else b"plain")

    listener = listen("127.0.0.1", 0)
    acceptor = Acceptor(listener, Answering, certificate("127.0.0.1", environ).context)
    acceptor.start()
    yield listener.getsockname()[1]
    acceptor.stop()


async def test_one_port_takes_plain_connections_and_tls(port, environ):
    trusting = ssl.create_default_context(cafile=certificate("127.0.0.1", environ).bundle)
    assert await ask(port) == b"plain"
    assert await ask(port, trusting) == b"tls"
    assert await ask(port, trusting, "127.0.0.1") == b"tls"


async def test_a_client_that_does_not_trust_it_fails_and_the_port_lives_on(port, environ):
    with pytest.raises(ssl.SSLCertVerificationError):
        await ask(port, ssl.create_default_context())
    with pytest.raises(ssl.SSLCertVerificationError):
        await ask(port, ssl.create_default_context(cafile=certificate("127.0.0.1", environ).bundle), "example.com")
    assert await ask(port) == b"plain"


async def test_a_connection_that_says_nothing_holds_up_nobody(port):
    with socket.create_connection(("127.0.0.1", port)):
        assert await ask(port) == b"plain"


def test_it_is_made_once_and_its_key_is_the_users_alone(environ):
    first = certificate("127.0.0.1", environ)
    made = first.own.read_bytes()
    assert certificate("127.0.0.1", environ).own.read_bytes() == made
    assert stat.S_IMODE(first.own.stat().st_mode) == 0o600


def test_an_old_one_is_replaced(environ):
    kept = certificate("127.0.0.1", environ)
    made = kept.own.read_bytes()
    os.utime(kept.own, (0, 0))
    assert certificate("127.0.0.1", environ).own.read_bytes() != made


def test_an_address_of_its_own_gets_one_of_its_own(environ):
    other = certificate("192.168.7.9", environ)
    assert other.own != certificate("127.0.0.1", environ).own
    assert b"BEGIN CERTIFICATE" in other.own.read_bytes()


def test_functions_trust_the_world_too(environ):
    bundle = certificate("127.0.0.1", environ).bundle.read_text()
    assert bundle.count("BEGIN CERTIFICATE") == certifi.contents().count("BEGIN CERTIFICATE") + 1


def test_without_a_home_it_is_made_all_the_same():
    assert certificate("127.0.0.1", {}).own.exists()
