"""Another DynamoDB, at a URL. Its requests go through the emulator so that faults can be injected."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from parley.asgi import Response
from parley.dynamodb.engine import JSON_TYPE, EngineFailed

_CREDENTIAL = re.compile(r"Credential=[^/]+/")
_FORWARD_SECONDS = 10
_MAX_FORWARDED_AT_ONCE = 16


class Forwarded:
    """The DynamoDB at a URL. It is the developer's: it is neither started nor ended here."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._executor = ThreadPoolExecutor(_MAX_FORWARDED_AT_ONCE, thread_name_prefix="dynamodb")

    @property
    def description(self) -> str:
        """The URL."""
        return self._url

    @property
    def keeps(self) -> bool:
        """True: the tables are in another program."""
        return True

    async def start(self) -> None:
        """Do nothing: it runs already."""

    async def stop(self) -> None:
        """Take no more requests."""
        self._executor.shutdown(wait=False)

    async def answer(self, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer one request with the answer of the other DynamoDB. Raises `EngineFailed`."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._answer, headers, body)

    def _answer(self, headers: Mapping[str, str], body: bytes) -> Response:
        lower = {name.lower(): value for name, value in headers.items()}
        kept = ("content-type", "x-amz-target", "x-amz-date")
        sent: dict[str, str] = {name: lower[name] for name in kept if name in lower}
        # DynamoDB Local does not check signatures, but it keeps the tables of each access key apart.
        sent["authorization"] = _CREDENTIAL.sub("Credential=emulator/", lower.get("authorization", ""))
        request = Request(self._url, body, sent, method="POST")  # noqa: S310 - the developer's own URL
        try:
            with urlopen(request, timeout=_FORWARD_SECONDS) as answer:  # noqa: S310
                return Response(answer.status, JSON_TYPE, answer.read())
        except HTTPError as error:
            return Response(error.code, JSON_TYPE, error.read())
        except OSError as error:
            raise EngineFailed(f"no answer from {self._url}: {error}") from None
