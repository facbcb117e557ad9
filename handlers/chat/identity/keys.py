"""Keys that verify tokens. The deployment fixes the family of algorithms; a token never chooses it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from handlers.chat.concurrency import Runtime
from handlers.chat.errors import KeysUnavailable, Misconfigured
from handlers.chat.identity import key_fetch, secrets
from handlers.chat.log import logger
from handlers.chat.settings import check_key_set_url, check_length, check_secret, refuse_wrong

FRESH_SECONDS = 600.0
"""The age at which keys are fetched again."""

REFETCH_SECONDS = 60.0
"""The least time between two fetches. Anybody can invent an unknown `kid`, and must not make us fetch for each one."""

_CURVES = {"P-256": "ES256"}


class Keys(Protocol):
    """A source of keys."""

    algorithms: tuple[str, ...]

    def key_for(self, header: Mapping[str, Any]) -> Any:
        """Return the key for a token with this header. None if no key of this source can have signed the token."""


class UnusableKeys:
    """No keys, because of wrong settings: no token can be verified, and nobody is let in."""

    algorithms: tuple[str, ...] = ("HS256", "RS256", "ES256")

    def __init__(self, problems: Mapping[str, str]) -> None:
        self._problems = problems

    def key_for(self, header: Mapping[str, Any]) -> None:
        """Raise `Misconfigured`: that the token is not verified is no fault of its user."""
        refuse_wrong(self._problems)


class SharedSecret:
    """HS256 with one secret. The setting may name the secret instead. Raises `Misconfigured` for a short secret."""

    algorithms: tuple[str, ...] = ("HS256",)

    def __init__(self, setting: str) -> None:
        check_secret(setting)
        self._setting = setting

    def key_for(self, header: Mapping[str, Any]) -> str:
        """Return the secret. Raises `Misconfigured` if its place cannot be read, or holds a short one."""
        try:
            secret = secrets.value_of(self._setting)
        except Misconfigured as error:
            raise Misconfigured(str(error), "JWT_SECRET") from None
        check_length(secret)
        return secret


class KeySet:
    """RS256 and ES256 with the keys that an identity provider publishes (a JWK set, RFC 7517).

    The keys are fetched from the configured URL only: when they are first needed, when they are old, and at most once
    a minute for an unknown `kid`. While the provider does not answer, or publishes no usable key, the old keys are
    used.
    """

    algorithms: tuple[str, ...] = ("RS256", "ES256")

    def __init__(
        self,
        url: str,
        runtime: Runtime,
        fetch: Callable[[str], bytes] | None = None,
    ) -> None:
        check_key_set_url(url)
        self._url = url
        self._fetch = fetch or (lambda url: key_fetch.fetched(url, runtime))
        self._runtime = runtime
        self._keys: dict[str | int, Any] | None = None
        self._tried_at = float("-inf")

    def key_for(self, header: Mapping[str, Any]) -> Any:
        """Return the key that `kid` names, or without a `kid` the only key of the set. Raises `KeysUnavailable`."""
        kid = header.get("kid")
        if kid is not None and not isinstance(kid, str):
            return None
        age = self._runtime.monotonic() - self._tried_at
        if self._keys is None or age > FRESH_SECONDS or (kid not in self._keys and age > REFETCH_SECONDS):
            self._refresh()
        keys = self._keys or {}
        if kid is None:
            return next(iter(keys.values())) if len(keys) == 1 else None
        return keys.get(kid)

    def _refresh(self) -> None:
        if self._keys is None and self._runtime.monotonic() - self._tried_at < 1.0:
            raise KeysUnavailable(f"No keys from {self._url}")
        self._tried_at = self._runtime.monotonic()
        try:
            self._keys = _usable(json.loads(self._fetch(self._url)))
        except (OSError, ValueError, RecursionError) as error:
            logger.warning("keys_not_fetched", url=self._url, reason=f"{type(error).__name__}: {error}")
            if self._keys is None:
                raise KeysUnavailable(f"No keys from {self._url}") from None


def _usable(content: Any) -> dict[str | int, Any]:
    """Return the usable keys of a set by `kid`, or by their place where they have none.

    A malformed key is left out and logged. Raises ValueError if there is no usable key.
    """
    if not isinstance(content, dict) or not isinstance(content.get("keys"), list):
        raise ValueError("no JWK set")
    usable: dict[str | int, Any] = {}
    for place, each in enumerate(content["keys"]):
        # Whatever one key looks like, the others stay usable, so no kind of error may leave this loop.
        try:
            kid, key = _key(each, place)
        except Exception as error:
            logger.warning("key_ignored", place=place, reason=type(error).__name__)
            continue
        if key is not None:
            usable[kid] = key
    if not usable:
        raise ValueError("no usable key in the set")
    return usable


def _key(each: Any, place: int) -> tuple[str | int, Any]:
    """Return a key with its `kid`, or None as the key if it is not for us. Raises any exception for a malformed one."""
    import jwt

    kid = each.get("kid", place)
    if not isinstance(kid, str) and kid != place:
        raise ValueError("a kid that is no text")
    algorithm = _algorithm(each)
    return kid, jwt.PyJWK(each, algorithm=algorithm) if algorithm else None


def _algorithm(each: Mapping[str, Any]) -> str | None:
    """Return the algorithm of a key. None if the key is not for signatures, or not of a family that we accept."""
    if each.get("use", "sig") != "sig":
        return None
    algorithm = {"RSA": "RS256", "EC": _CURVES.get(each.get("crv", ""))}.get(each.get("kty", ""))
    return algorithm if each.get("alg", algorithm) == algorithm else None
