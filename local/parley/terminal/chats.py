"""The list of the user's chats, from the HTTP API."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

_SECONDS = 15
_LOOPBACK = ("127.0.0.1", "localhost", "::1")

NO_HTTP_API = "The list of chats comes from the HTTP API. Name it: `parley chat --http-url https://…`"

Result = TypeVar("Result")


class ChatsUnavailable(Exception):
    """The chats cannot be listed. The text says why, and the next step."""


@dataclass(frozen=True, slots=True)
class ListedChat:
    """A chat in the list. `updated_at` is an ISO 8601 time."""

    chat_id: str
    title: str
    updated_at: str

    @property
    def date(self) -> str:
        """The local time of the user's last message."""
        try:
            return datetime.fromisoformat(self.updated_at).astimezone().strftime("%Y-%m-%d %H:%M")
        except ValueError:
            return self.updated_at


class Chats:
    """The user's chats as they were listed last. `http_url` is that of the HTTP API, None if it is not known."""

    def __init__(self, http_url: str | None, token: str) -> None:
        self._http_url = http_url
        self._token = token
        self._listed: list[ListedChat] = []

    async def load(self) -> list[ListedChat]:
        """Return the newest chats. Raises `ChatsUnavailable`."""
        if self._http_url is None:
            raise ChatsUnavailable(NO_HTTP_API)
        url, token = f"{self._http_url.rstrip('/')}/chats", self._token
        self._listed = await _in_thread(lambda: _load(url, token))
        return self._listed

    def id_of(self, named: str) -> str:
        """Return the id of a chat that is named by its number in the list, or by its id."""
        number = int(named) if re.fullmatch("[0-9]{1,9}", named) else 0
        return self._listed[number - 1].chat_id if 1 <= number <= len(self._listed) else named


def http_url_of(url: str) -> str | None:
    """Return the URL of the HTTP API of a WebSocket API on this machine: an emulator has both on one port."""
    parts = urlsplit(url)
    is_http = {"ws": "http", "wss": "https"}.get(parts.scheme)
    return f"{is_http}://{parts.netloc}" if is_http and parts.hostname in _LOOPBACK else None


def _load(url: str, token: str) -> list[ListedChat]:
    if not url.startswith(("http://", "https://")):
        raise ChatsUnavailable(f"{url} is not the URL of an HTTP API. Check --http-url.")
    request = Request(url, headers={"authorization": f"Bearer {token}"})  # noqa: S310 - the scheme is checked above
    try:
        with urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
            return _parse(json.load(answer))
    except HTTPError as error:
        with error:  # it has the connection, which nobody else closes
            raise ChatsUnavailable(f"{url} refused the list of chats with HTTP {error.code}.") from None
    except (OSError, ValueError) as error:
        raise ChatsUnavailable(f"{url} has no list of chats: {error}.") from None


def _parse(content: Any) -> list[ListedChat]:
    """Return the chats in an answer. Raises `ValueError` if it has another form."""
    try:
        return [
            ListedChat(str(each["chatId"]), str(each["title"]), str(each["updatedAt"])) for each in content["chats"]
        ]
    except (TypeError, KeyError):
        raise ValueError("the answer is not a list of chats") from None


async def _in_thread(work: Callable[[], Result]) -> Result:
    """Run blocking work in a daemon thread. The end of the process does not wait for it."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def settle(settled: Callable[[Any], None], value: Any) -> None:
        if not done.done():
            settled(value)

    def run() -> None:
        try:
            outcome = (done.set_result, work())
        except Exception as error:
            outcome = (done.set_exception, error)  # type: ignore[assignment]
        loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, daemon=True, name="chats").start()
    return await done
