"""Protection of the emulator against web pages that are open on this machine.

A page can send requests to 127.0.0.1 that need no permission, an Invoke for example, though it cannot read the answer.
The browser says where such a request comes from, in `Origin` and `Sec-Fetch-Site`
(https://www.w3.org/TR/fetch-metadata/), and scripts cannot change that.

A page can also point a name of its own to this machine's address (DNS rebinding). Then it may read the answer too. The
`Host` header of such a request has the page's name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
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
