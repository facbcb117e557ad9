"""Tokens of transactions: a request that repeats an earlier one with its `ClientRequestToken` has no second effect.

A token counts for ten minutes from the end of its request, and only with the same parameters. A repeated request is
charged for reading the items (API reference of DynamoDB, TransactWriteItems). moto ignores tokens.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

SECONDS = 600


class TokenMismatch(Exception):
    """The token was used for a request with other parameters."""


class Tokens:
    """The tokens of the last ten minutes, oldest first, each with a digest of its request."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._used: dict[str, tuple[float, bytes]] = {}

    def is_repeated(self, request: Mapping[str, Any]) -> bool:
        """Return whether a transaction has been carried out with this token. Raises `TokenMismatch`."""
        self._forget()
        used = self._used.get(request.get("ClientRequestToken") or "")
        if used and used[1] != _digest(request):
            raise TokenMismatch
        return used is not None

    def remember(self, request: Mapping[str, Any]) -> None:
        """Note a transaction that has been carried out."""
        if token := request.get("ClientRequestToken"):
            self._used[token] = self._now(), _digest(request)

    def _forget(self) -> None:
        while self._used and next(iter(self._used.values()))[0] <= self._now() - SECONDS:
            del self._used[next(iter(self._used))]


def _digest(request: Mapping[str, Any]) -> bytes:
    """Return a digest of the parameters that a repeated request must have in common with the first."""
    return hashlib.sha256(json.dumps(request.get("TransactItems"), sort_keys=True).encode()).digest()
