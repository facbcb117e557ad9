"""Whose a token is."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping

import jwt

from handlers.chat.errors import ErrorCode, Misconfigured, Refused

ALGORITHM = "HS256"
SHORTEST_SECRET = 32
"""Bytes: as long as the hash, RFC 7518 3.2."""

LEEWAY = 30
"""Seconds that two clocks may differ."""


class Authenticator:
    """Verifies JSON Web Tokens: HS256, the claim `userId`, an expiry, and a user who exists.

    Raises `Misconfigured` for a secret that is too short to be one.
    """

    def __init__(self, secret: str, user_exists: Callable[[str], bool]) -> None:
        if len(secret.encode()) < SHORTEST_SECRET:
            raise Misconfigured(f"JWT_SECRET is shorter than {SHORTEST_SECRET} bytes; set it to a longer random text")
        self._secret = secret
        self._user_exists = user_exists
        self._jwt = jwt.PyJWT({"enforce_minimum_key_length": True})

    def user_of(self, token: str) -> str:
        """Return the id of the token's user.

        Raises `Refused` with `invalid_token`: the same for a bad token and for an unknown user.
        """
        user_id = self._claimed_user(token)
        if user_id is None or not self._user_exists(user_id):
            raise Refused(ErrorCode.INVALID_TOKEN)
        return user_id

    def _claimed_user(self, token: str) -> str | None:
        try:
            claims = self._jwt.decode(
                token, self._secret, algorithms=[ALGORITHM], leeway=LEEWAY, options={"require": ["exp"]}
            )
        except (jwt.PyJWTError, ValueError):
            return None
        user_id = claims.get("userId")
        return user_id if _is_user_id(user_id) else None


def _is_user_id(value: object) -> bool:
    return (
        isinstance(value, str)
        and 1 <= len(value) <= 128
        and not any(unicodedata.category(character).startswith("C") for character in value)
    )


def offered_token(headers: Mapping[str, str], query: Mapping[str, str]) -> str | None:
    """Return the token that came with an HTTP request or handshake: `Authorization: Bearer`, or `?token=`."""
    authorization = next((value for name, value in headers.items() if name.lower() == "authorization"), "")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return query.get("token") or None
