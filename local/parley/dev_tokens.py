"""Tokens for a developer's users, as the chat's authentication expects them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

DEVELOPMENT_SECRET = "for-development-only-never-deploy-with-this-secret"  # noqa: S105 - public on purpose
"""The key that signs tokens when `JWT_SECRET` is not set. It is public, so it protects nothing."""

LIFETIME = timedelta(hours=12)


def secret(environ: Mapping[str, str]) -> str:
    """Return the key that signs tokens: `JWT_SECRET` if it is set, else the development secret."""
    return environ.get("JWT_SECRET") or DEVELOPMENT_SECRET


def token(user_id: str, secret: str, lifetime: timedelta = LIFETIME) -> str:
    """Return an HS256 token for this user, valid from now on for `lifetime`."""
    # Not at the top: PyJWT takes longer to import than most of the emulator.
    import jwt

    now = datetime.now(UTC)
    return jwt.encode({"userId": user_id, "iat": now, "exp": now + lifetime}, secret, algorithm="HS256")
