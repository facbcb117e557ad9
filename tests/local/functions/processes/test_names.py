"""Name resolution of a function's process: hosts of the template's own APIs lead to the emulator, others as ever."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest
from parley.functions.processes.names import VARIABLE, description

PROBE = """
import asyncio, json, os, socket, sys
from parley.functions.processes import names
names.install(os.environ)
name, port = sys.argv[1], int(sys.argv[2])

def direct():
    with socket.socket() as s:
        s.connect((name, port))
        return s.getpeername()[1]

def connect_ex():
    with socket.socket() as s:
        return s.getpeername()[1] if s.connect_ex((name, port)) == 0 else None

def create_connection():
    with socket.create_connection((name, port)) as s:
        return s.getpeername()[1]

def http_client():
    import http.client
    connection = http.client.HTTPConnection(name, port)
    connection.connect()
    return connection.sock.getpeername()[1]

def urllib3():
    from urllib3.util.connection import create_connection
    return create_connection((name, port)).getpeername()[1]

def streams():
    async def peer():
        _, writer = await asyncio.open_connection(name, port)
        return writer.get_extra_info("peername")[1]
    return asyncio.run(peer())

def anyio():
    import anyio as library
    async def peer():
        stream = await library.connect_tcp(name, port)
        return stream.extra(library.abc.SocketAttribute.remote_port)
    return library.run(peer)

print(json.dumps([globals()[sys.argv[3]](), os.environ.get(names.VARIABLE)]))
"""
WAYS = ["direct", "connect_ex", "create_connection", "http_client", "urllib3", "streams", "anyio"]
API = "abcdef1234"


async def probe(name, port, way, variable):
    """Return the port that a process of its own reaches at this name, and its variable afterwards."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROBE, name, str(port), way), env={VARIABLE: variable}, stdout=subprocess.PIPE
    )
    answer, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(answer)


@pytest.fixture(params=["127.0.0.1", "::1"])
async def listener(request):
    """The address of a server that accepts connections."""
    try:
        server = await asyncio.start_server(lambda reader, writer: writer.close(), request.param, 0)
    except OSError:
        pytest.skip("this machine has no IPv6")
    yield request.param, server.sockets[0].getsockname()[1]
    server.close()


@pytest.mark.parametrize("way", WAYS)
async def test_the_host_of_an_own_api_is_the_emulator_for_each_library(listener, way):
    host, port = listener
    if host == "::1" and way in ("direct", "connect_ex"):
        pytest.skip("this socket is of IPv4 by itself")
    name = f"{API}.execute-api.eu-central-1.amazonaws.com"
    assert await probe(name, 443, way, description(["0123456789", API], host, port)) == [port, None]


@pytest.mark.parametrize(
    "name",
    [
        f"{API}.execute-api.us-east-1.amazonaws.com",
        f"{API.upper()}.Execute-API.us-gov-west-1.amazonaws.com.",
        f"{API}.execute-api.cn-north-1.amazonaws.com.cn",
        f"{API}.execute-api.eu-west-1.api.aws",
        f"{API}.lambda-url.us-east-1.on.aws",
    ],
)
async def test_every_spelling_of_the_host_is_known(listener, name):
    host, port = listener
    assert await probe(name, 80, "create_connection", description([API], host, port)) == [port, None]


async def test_other_names_lead_where_they_always_did(listener):
    host, port = listener
    variable = description([API], "127.0.0.1", 9)
    assert await probe(host, port, "create_connection", variable) == [port, None]


@pytest.mark.parametrize(
    "name",
    [
        "other12345.execute-api.us-east-1.amazonaws.com",
        f"{API}.execute-api.us-east-1.amazonaws.com.example",
        f"x{API}.execute-api.us-east-1.amazonaws.com",
        f"{API}.s3.us-east-1.amazonaws.com",
    ],
)
def test_names_of_others_are_not_ours(name):
    from parley.functions.processes import names

    asked = []
    resolve = names._resolving(lambda host, *rest: asked.append(host), {API}, "stand-in")
    resolve(name, 443)
    assert asked == [name]
