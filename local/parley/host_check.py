"""Protection of this machine against DNS rebinding.

A foreign web page can point a name of its own to this machine's address. The browser then lets the page's script
call the emulator. The `Host` header of such a request has the page's name, and so the request can be refused.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


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
