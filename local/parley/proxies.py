"""Proxies of the environment: never for requests to this machine.

Developers have `http_proxy` set for the internet. The libraries that speak HTTP or WebSocket (boto3, urllib,
websockets, httpx) then send requests to 127.0.0.1 to the proxy too, unless `NO_PROXY` names it. Each process of the
emulator gets that from here, so no client needs a rule of its own. Other hosts keep their proxy.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

THIS_MACHINE = ("127.0.0.1", "localhost", "::1")
EXCEPTIONS = ("no_proxy", "NO_PROXY")
"""The variables that name the exceptions. `exempt` sets them in the emulator's own environment."""

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy")


def exempt(environ: MutableMapping[str, str], *hosts: str) -> None:
    """Add this machine and these hosts to the hosts that are reached without a proxy."""
    # Both spellings, because libraries differ in the one that they read first.
    known = next((value for name in EXCEPTIONS if (value := environ.get(name))), "")
    listed = [host.strip() for host in known.split(",") if host.strip()]
    more = [host for host in dict.fromkeys((*THIS_MACHINE, *hosts)) if host not in listed]
    value = known if "*" in listed else ",".join([*listed, *more])
    environ.update(dict.fromkeys(EXCEPTIONS, value))


def names_a_proxy(environ: Mapping[str, str]) -> bool:
    """Return whether one of the variables is for a proxy."""
    return any(name.lower() in _PROXIES for name in environ)
