"""Protection of the emulator against other machines, and against web pages that are open on this machine.

A page can send requests to 127.0.0.1 that need no permission, an Invoke for example, though it cannot read the answer.
The browser says where such a request comes from, in `Origin` and `Sec-Fetch-Site`
(https://www.w3.org/TR/fetch-metadata/), and scripts cannot change that.

A page can also point a name of its own to this machine's address (DNS rebinding). Then it may read the answer too. The
`Host` header of such a request has the page's name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Set
from functools import lru_cache
from urllib.parse import urlsplit

_OWN_PAGE = ("same-origin", "none")
"""Values of `Sec-Fetch-Site` for a page of the emulator's own, and for a URL that a person has typed."""


def comes_from_a_foreign_page(headers: Mapping[str, str]) -> bool:
    """Return whether a browser has sent a request for a page that is not the emulator's own.

    `headers` have lower-case names. Other clients, such as AWS's SDKs, send neither of the two headers.
    """
    origin = headers.get("origin")
    return headers.get("sec-fetch-site", "none") not in _OWN_PAGE or (
        origin is not None and origin.partition("://")[2] != headers.get("host")
    )


def is_welcome_page(origin: str, allowed: Set[str]) -> bool:
    """Return whether a page may use the template's APIs: a page that this machine serves, or an allowed origin.

    `*` in `allowed` stands for all origins. A page from a file has the origin `null`, and so have others.
    """
    try:
        host = urlsplit(origin).hostname or ""
    except ValueError:
        host = ""
    return is_loopback(host) or host.endswith(".localhost") or not allowed.isdisjoint((origin, "*"))


def is_loopback(host: str) -> bool:
    """Return whether nobody but this machine reaches a server on this host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def comes_from_this_machine(client: tuple[str, int] | None, server: tuple[str, int | None] | None) -> bool:
    """Return whether a connection begins on this machine, by the addresses of both of its ends.

    A program that connects to an address of its own machine does so from that same address, or from a loopback one.
    """
    return client is not None and server is not None and _are_the_same_machine(client[0], server[0])


@lru_cache(maxsize=256)
def _are_the_same_machine(client: str, server: str) -> bool:
    ends = [ipaddress.ip_address(host.partition("%")[0]) for host in (client, server)]
    ours, theirs = (getattr(each, "ipv4_mapped", None) or each for each in reversed(ends))
    return bool(theirs.is_loopback or theirs == ours)


def is_this_machine(host: str, own: str) -> bool:
    """Return whether a `Host` header names this machine: by an address, as `localhost`, or as `own`.

    `own` is the host that the emulator was told to listen on.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name in ("localhost", own.lower()) or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
