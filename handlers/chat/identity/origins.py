"""The check of web origins: a browser lets any page connect, and names the page's origin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def is_allowed(headers: Mapping[str, str], allowed: Iterable[str]) -> bool:
    """Return True if a handshake may go on: its `Origin` is allowed, or it has none, because it is no browser's.

    Without a list every page is allowed: a token is never a cookie here, so a foreign page has no token to use.
    """
    origin = next((value for name, value in headers.items() if name.lower() == "origin"), None)
    listed = set(allowed)
    return origin is None or not listed or origin in listed
