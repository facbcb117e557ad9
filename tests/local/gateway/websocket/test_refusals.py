"""Refused handshakes in the server's own log: each has its line in the emulator's log, and needs no second one."""

import logging

import pytest
from parley.asgi import Response

from tests.support.served import serving, upgrade


async def refuse(scope, receive, send):
    await receive()
    await Response.of_json(403, {"message": "Forbidden"}).refuse(send)


async def close(scope, receive, send):
    await receive()
    await send({"type": "websocket.close", "code": 1000})


async def forget(scope, receive, send):
    await receive()


def logged_after(application, caplog):
    """Return the answer to a handshake, and what the server has logged when the connection has ended."""
    caplog.set_level(logging.WARNING)
    with serving(application) as server:
        client = server.connect()
        client.send(upgrade("/live"))
        head = client.head()
        client.rest()
        client.leave()
    return head, [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("refusal", [refuse, close], ids=["with a response", "by closing"])
def test_a_refused_handshake_is_no_error_of_the_server(caplog, refusal):
    head, logged = logged_after(refusal, caplog)
    assert head.startswith(b"HTTP/1.1 403")
    assert logged == []


def test_one_that_is_forgotten_is(caplog):
    head, logged = logged_after(forget, caplog)
    assert head.startswith(b"HTTP/1.1 500")
    assert logged == ["ASGI callable returned without completing handshake."]
