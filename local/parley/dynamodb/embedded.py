"""DynamoDB's JSON protocol: answered by moto in this process, or forwarded to another DynamoDB."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from parley.account import REGION
from parley.asgi import Response

UNITS_HEADER = "x-parley-units"
"""A header of the embedded DynamoDB's answers: the capacity units that the request consumed."""

_JSON = {"content-type": "application/x-amz-json-1.0"}
_CREDENTIAL = re.compile(r"Credential=[^/]+/")
_FORWARD_SECONDS = 10
_MAX_FORWARDED_AT_ONCE = 16
_URL = f"https://dynamodb.{REGION}.amazonaws.com/"


class Embedded:
    """moto's DynamoDB in this process, without moto's web server. Its data is lost when the process ends.

    `importing` is held while moto is imported, here and wherever else. Its modules import each other in circles, and
    Python gives one of two threads that come into a circle from two sides a module that is only half there.
    """

    def __init__(self, importing: Lock) -> None:
        # One thread: moto's tables are plain dictionaries without locks. The import of moto takes 0.7 s, so it starts
        # now, in that thread, while the emulator starts the rest.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="dynamodb")
        self._handler = self._executor.submit(_load, importing)

    async def answer(self, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer one request of DynamoDB's JSON protocol."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._answer, headers, body)

    def _answer(self, headers: Mapping[str, str], body: bytes) -> Response:
        # Without the signature moto takes the region from the URL, so all functions see the same tables.
        unsigned = {name: value for name, value in headers.items() if name.lower() != "authorization"}
        try:
            status, answered, content = self._handler.result()(unsigned, body)
        except NotImplementedError as error:
            return _error_response(400, "UnknownOperationException", f"moto does not have this operation: {error}")
        except Exception as error:  # a bug of moto's must not look like a bug of the function's
            return _error_response(500, "InternalServerError", f"moto failed: {type(error).__name__}: {error}")
        if isinstance(content, str):
            content = content.encode()
        return Response(int(status), {**_JSON, **_kept(answered)}, content)


class Forwarded:
    """Another DynamoDB. Its requests go through the emulator so that faults can be injected."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._executor = ThreadPoolExecutor(_MAX_FORWARDED_AT_ONCE, thread_name_prefix="dynamodb")

    async def answer(self, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer one request with the answer of the other DynamoDB."""
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
                return Response(answer.status, _JSON, answer.read())
        except HTTPError as error:
            return Response(error.code, _JSON, error.read())
        except OSError as error:
            return _error_response(500, "InternalServerError", f"No answer from {self._url}: {error}")


def _load(importing: Lock) -> Any:
    with importing:
        return _load_moto()


def _load_moto() -> Any:
    """Import and patch moto. Return the function that handles a request's headers and body."""
    from botocore.model import OperationNotFoundError
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.core.request import Request
    from moto.dynamodb.models import dynamodb_backends
    from moto.dynamodb.responses import DynamoHandler

    from parley.dynamodb import moto_tables
    from parley.dynamodb.capacity import CapacityCorrection

    moto_tables.install()
    capacity = CapacityCorrection(dynamodb_backends[DEFAULT_ACCOUNT_ID][REGION])

    def dispatch(headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, Any], str | bytes]:
        try:
            return DynamoHandler.dispatch(Request.from_primitives("POST", _URL, dict(headers), body))  # type: ignore[no-any-return]
        except OperationNotFoundError as error:
            raise NotImplementedError(str(error)) from None

    def handle(headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, Any], str | bytes]:
        target = next((value for name, value in headers.items() if name.lower() == "x-amz-target"), "")
        operation = target.partition(".")[2]
        request, before = capacity.before(operation, body)
        status, answered, content = dispatch(headers, body)
        if request and int(status) == 200:
            content, units = capacity.after(operation, request, before, content)  # type: ignore[arg-type]
            # The body may have changed, and SDKs compare it with its checksum.
            answered = {**answered, "x-amz-crc32": str(zlib.crc32(content.encode())), UNITS_HEADER: str(units)}
        return status, answered, content

    return handle


def _error_response(status: int, error_type: str, message: str) -> Response:
    content = {"__type": f"com.amazonaws.dynamodb.v20120810#{error_type}", "message": message}
    return Response.of_json(status, content, _JSON)


def _kept(headers: Mapping[str, Any]) -> dict[str, str]:
    skipped = ("content-length", "content-type", "date", "server", "status")
    return {name: str(value) for name, value in headers.items() if name.lower() not in skipped}
