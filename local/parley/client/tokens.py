"""Tokens: the one that is used now, and the function that fetches the next one."""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
from collections.abc import Awaitable, Callable

from parley.client.errors import ParleyError

TokenSource = str | Callable[[], str | Awaitable[str]]
"""A token, or a function that fetches one. The function may be a coroutine function. It ends the client with
`ParleyError`; after any other exception it is called again."""


class Tokens:
    """The user's tokens, for all connections of a client."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source
        self._token: str | None = source if isinstance(source, str) else None
        self._fetching = asyncio.Lock()

    @property
    def renewable(self) -> bool:
        """True if there is a function that fetches tokens."""
        return not isinstance(self._source, str)

    async def get(self) -> str:
        """Return the token. It is fetched if there is none. Raises TimeoutError if the function fails."""
        async with self._fetching:
            if self._token is None:
                self._token = await self._fetch()
            return self._token

    def drop(self, token: str) -> None:
        """Forget a token that was refused or that ends soon, so that the next `get` fetches another one."""
        if self.renewable and self._token == token:
            self._token = None

    async def _fetch(self) -> str:
        if isinstance(self._source, str):
            return self._source
        try:
            fetched = self._source()
            return await fetched if inspect.isawaitable(fetched) else fetched
        except ParleyError:
            raise
        except Exception as error:
            # Its server may be out of reach as the chat's may be: that passes.
            raise TimeoutError(f"no token can be fetched: {str(error) or type(error).__name__}") from error


def expires_at(token: str) -> float | None:
    """Return the time `exp` of a JSON Web Token, None if it cannot be read. The signature is not checked."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"])
    except (ValueError, IndexError, KeyError, TypeError):
        return None
