"""Requests that a foreign web page has a browser make to this machine, by a name of the page's that leads here."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_this_machine(host: str, own: str) -> bool:
    """Tell whether a `Host` header names this machine: by an address, as `localhost`, or as it was told to listen.

    Another name means DNS rebinding: the page's own script would be let in to what answers here.
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
