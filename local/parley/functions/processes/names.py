"""Name resolution of a function's process: the hosts of the template's own APIs on AWS are the emulator.

Many functions compose `https://{apiId}.execute-api.{region}.amazonaws.com/{stage}`. Here that name, or the one of a
function URL, must not leave the machine. It resolves to a loopback address that stands for the emulator, and
connections to this address go to the
emulator's own address and port. Everything that uses Python's sockets is covered: urllib3 (boto3, requests), httpx,
http.client, asyncio, aiohttp. Not covered: libraries that resolve or connect in C (uvloop, pycurl, gRPC), and other
programs.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Collection, Iterable, MutableMapping
from typing import Any

VARIABLE = "PARLEY_API_HOSTS"
"""The variable in which a process gets the APIs and the emulator's address. The function does not see it."""

_STAND_IN = "127.83.65.77"
"""A loopback address on which nothing listens. It stands for the emulator, whatever port a client connects to."""

DOMAIN = r"\.(?:execute-api\.[\w-]+\.(?:amazonaws\.com(?:\.cn)?|api\.aws)|lambda-url\.[\w-]+\.on\.aws)"
"""The rest of the name of an API's host on AWS, after the API's id."""

_HOST = re.compile(rf"([^.]+){DOMAIN}\.?", re.IGNORECASE)


def description(api_ids: Iterable[str], host: str, port: int) -> str:
    """Return the value of the variable."""
    return f"{','.join(api_ids)}@{host}@{port}"


def install(environ: MutableMapping[str, str]) -> None:
    """Change the name resolution of this process as the variable says, and remove the variable."""
    ids, _, address = environ.pop(VARIABLE, "").partition("@")
    if not ids:
        return
    host, _, port = address.rpartition("@")
    # A socket of IPv6 takes addresses of IPv6 only.
    stand_in = f"::ffff:{_STAND_IN}" if ":" in host else _STAND_IN
    ours = {each.lower() for each in ids.split(",")}
    socket.getaddrinfo = _resolving(socket.getaddrinfo, ours, stand_in)
    for name in ("connect", "connect_ex"):
        setattr(socket.socket, name, _connecting(getattr(socket.socket, name), ours, stand_in, (host, int(port))))


def _resolving(resolve: Callable[..., Any], ours: Collection[str], stand_in: str) -> Callable[..., Any]:
    def getaddrinfo(host: Any, *rest: Any, **options: Any) -> Any:
        return resolve(stand_in if _is_ours(host, ours) else host, *rest, **options)

    return getaddrinfo


def _connecting(
    connect: Callable[..., Any], ours: Collection[str], stand_in: str, place: tuple[str, int]
) -> Callable[..., Any]:
    def connect_here(self: socket.socket, address: Any) -> Any:
        if isinstance(address, tuple) and (
            address[:1] == (stand_in,) or any(_is_ours(each, ours) for each in address[:1])
        ):
            address = place
        return connect(self, address)

    return connect_here


def _is_ours(host: Any, ours: Collection[str]) -> bool:
    name = host.decode("latin-1") if isinstance(host, bytes) else host
    found = _HOST.fullmatch(name) if isinstance(name, str) else None
    return found is not None and found[1].lower() in ours
