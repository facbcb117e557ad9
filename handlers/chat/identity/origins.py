"""Which web pages may connect: browsers say from where a script comes, and let any page try."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def is_allowed(headers: Mapping[str, str], allowed: Iterable[str]) -> bool:
    """Tell whether a handshake may go on: its `Origin` is allowed, or it has none, as everything but browsers.

    Without a list every page is allowed: a token is never a cookie here, so a foreign page has none to use.
    """
    origin = next((value for name, value in headers.items() if name.lower() == "origin"), None)
    listed = set(allowed)
    return origin is None or not listed or origin in listed
