"""JWT verification by pinned algorithm: signature, times, issuer, audience, and the user."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any

import jwt

from handlers.chat.concurrency import Runtime
from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.identity.keys import Keys, KeySet, SharedSecret, UnusableKeys
from handlers.chat.records import is_user_id
from handlers.chat.settings import Settings

LEEWAY_SECONDS = 30
"""The difference that two clocks may have."""

MAX_LIFETIME = timedelta(days=30)
"""The time that a token may still live. One that lives longer is as good as a password that nobody can change."""

MAX_TOKEN_CHARS = 8 * 1024
"""API Gateway's own limit for all headers together is 10 KB."""

MAX_NAME_CHARS = 128

ANY_AUDIENCE = "*"
"""The setting of a deployment that accepts tokens for any audience."""

SHARED_SECRET_USER_CLAIMS = ("userId", "sub")
"""The claims for the user with a shared secret. Who has the secret writes the tokens, so no user chose them."""

PROVIDER_USER_CLAIMS = ("sub",)
"""The claim for the user with a provider's keys. Users can often write other claims, their profile for example."""

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Identity:
    """The content of a valid token: the user, the end of its validity, and the user's name if the token has one."""

    user_id: str
    until: datetime
    name: str | None = None


class Authenticator:
    """The verification of JSON Web Tokens: algorithm, signature, times, issuer, audience, and the user.

    `is_user` checks the user, and may create a new one. The first of `user_claims` that a token has is its user.
    """

    def __init__(
        self,
        keys: Keys,
        is_user: Callable[[Identity], bool],
        runtime: Runtime,
        *,
        issuer: str = "",
        audience: str = "",
        user_claims: tuple[str, ...] = SHARED_SECRET_USER_CLAIMS,
    ) -> None:
        self._keys = keys
        self._is_user = is_user
        self._issuer = issuer
        self._audience = audience
        self._user_claims = user_claims
        self._runtime = runtime
        self._jwt = jwt.PyJWT({"enforce_minimum_key_length": True})

    @classmethod
    def of(cls, settings: Settings, is_user: Callable[[Identity], bool], runtime: Runtime) -> Authenticator:
        """Return the authenticator of a deployment. With wrong settings it verifies no token."""
        user_claims = PROVIDER_USER_CLAIMS if settings.jwks_url else SHARED_SECRET_USER_CLAIMS
        keys: Keys
        if problems := settings.identity_problems():
            keys = UnusableKeys(problems)
        elif settings.jwks_url:
            keys = KeySet(settings.jwks_url, runtime)
        else:
            keys = SharedSecret(settings.jwt_secret)
        return cls(
            keys,
            is_user,
            runtime,
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
            user_claims=(settings.jwt_user_claim,) if settings.jwt_user_claim else user_claims,
        )

    def user_of(self, token: str) -> str:
        """Return the id of the token's user. Raises as `identify`."""
        return self.identify(token).user_id

    def identify(self, token: str) -> Identity:
        """Verify a token and return its content.

        Raises `Refused` with `invalid_token`. It is the same for a bad token and for an unknown or disabled user, so
        nobody learns of users. Raises `KeysUnavailable` if the identity provider does not answer, and `Misconfigured`
        if a setting keeps every token from being verified.
        """
        identity = self._identity(token)
        if identity is None or not self._is_user(identity):
            raise Refused(ErrorCode.INVALID_TOKEN)
        return identity

    def _identity(self, token: str) -> Identity | None:
        if len(token) > MAX_TOKEN_CHARS or not _is_canonical(token):
            return None
        header = _unless_malformed(lambda: jwt.get_unverified_header(token))
        if header is None or header.get("alg") not in self._keys.algorithms or "crit" in header:
            return None
        # Outside of `_unless_malformed`: an error in our keys is ours, and must not look like a bad token.
        key = self._keys.key_for(header)
        claims = _unless_malformed(lambda: self._claims(token, key)) if key is not None else None
        return self._read(claims) if claims is not None else None

    def _claims(self, token: str, key: Any) -> dict[str, Any]:
        claims: dict[str, Any] = self._jwt.decode(
            token,
            key,
            algorithms=list(self._keys.algorithms),
            leeway=LEEWAY_SECONDS,
            issuer=self._issuer or None,
            # `aud` and the user are checked in `_read`. A `sub` or `jti` that names no user may be of any type.
            options={
                "require": ["exp", *(["iss"] if self._issuer else [])],
                "verify_aud": False,
                "verify_sub": False,
                "verify_jti": False,
            },
        )
        return claims

    def _read(self, claims: Mapping[str, Any]) -> Identity | None:
        expiry = _number(claims.get("exp"))
        user_id = next((claims[name] for name in self._user_claims if name in claims), None)
        if expiry is None or not self._is_for_us(claims) or not is_user_id(user_id):
            return None
        if expiry > self._runtime.now().timestamp() + MAX_LIFETIME.total_seconds():
            return None
        name = claims.get("name")
        called = name[:MAX_NAME_CHARS] if isinstance(name, str) and name.isprintable() and name.strip() else None
        return Identity(user_id, datetime.fromtimestamp(expiry + LEEWAY_SECONDS, UTC), called)

    def _is_for_us(self, claims: Mapping[str, Any]) -> bool:
        """Return True if the audience is ours. Access tokens of Cognito have `client_id` in its place.

        A token that names an audience is for nobody else (RFC 7519 section 4.1.3). Without a setting that is not us.
        """
        if self._audience == ANY_AUDIENCE:
            return True
        if not self._audience:
            return "aud" not in claims
        audience = claims.get("aud", claims.get("client_id"))
        return self._audience in (audience if isinstance(audience, list) else [audience])


def _unless_malformed(read: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """Return what `read` returns, None if the token that it reads is malformed, forged or over."""
    try:
        return read()
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        return None


def _is_canonical(token: str) -> bool:
    """Return True if a token is in its canonical spelling: base64 would let one token have many spellings."""
    if not _COMPACT.fullmatch(token):
        return False
    return all(_respelled(part) == part for part in token.split("."))


def _respelled(part: str) -> str | None:
    try:
        content = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        return None
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _number(value: object) -> float | None:
    """Return a finite JSON number, else None. PyJWT itself would also accept a number in a string."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and isfinite(value) else None  # type: ignore[arg-type]


def offered_token(headers: Mapping[str, str], query: Mapping[str, str]) -> str | None:
    """Return the token that came with an HTTP request or handshake: `Authorization: Bearer`, or `?token=`."""
    authorization = next((value for name, value in headers.items() if name.lower() == "authorization"), "")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return query.get("token") or None
