"""moto as the DynamoDB engine, in this process: for machines where Dynoxide cannot be had.

It is good enough for an application that works. It takes much that AWS refuses (docs/emulator/databases.md).
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from parley.account import REGION
from parley.asgi import Response
from parley.clock import Clock, Loading
from parley.dynamodb.engine import JSON_TYPE, UNITS_HEADER, URL, EngineFailed, error_response, operation_of, place_of
from parley.dynamodb.fallback.tokens import TokenMismatch, Tokens

_MISMATCH = "The token was used for a transaction with other parameters"

Answer = tuple[int, Mapping[str, Any], str]
"""A status, headers and a body, as moto returns them."""


class Moto:
    """moto's DynamoDB in this process, without moto's web server. Its data are lost when the process ends.

    `reason` says why this is the engine.
    """

    def __init__(self, clock: Clock, reason: str) -> None:
        # One thread: moto's tables are plain dictionaries without locks. The import of moto takes 0.7 s, so it starts
        # now, in that thread, while the emulator starts the rest.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="dynamodb")
        self._handler = self._executor.submit(_load, clock.loading, Tokens(clock.time))
        self._reason = reason

    @property
    def description(self) -> str:
        """The name of the engine, and what follows from it, for the developer."""
        return f"embedded: moto, which takes much that AWS refuses ({self._reason})"

    @property
    def keeps(self) -> bool:
        """False: the tables are in this process's memory."""
        return False

    async def start(self) -> None:
        """Wait until moto is imported."""
        await asyncio.wrap_future(self._handler)

    async def stop(self) -> None:
        """Take no more requests."""
        self._executor.shutdown(wait=False)

    async def answer(self, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer one request. Raises `EngineFailed`."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._answer, headers, body)

    def _answer(self, headers: Mapping[str, str], body: bytes) -> Response:
        # Without the signature moto takes the region from the URL, so all functions see the same tables.
        unsigned = {name: value for name, value in headers.items() if name.lower() != "authorization"}
        try:
            status, answered, content = self._handler.result()(unsigned, body)
        except TokenMismatch:
            return error_response("IdempotentParameterMismatchException", _MISMATCH)
        except NotImplementedError as error:
            return error_response("UnknownOperationException", f"moto does not have this operation: {error}")
        except Exception as error:
            raise EngineFailed(f"moto raised {place_of(error)}") from error
        return Response(int(status), {**JSON_TYPE, **_kept(answered)}, content.encode())


def _kept(headers: Mapping[str, Any]) -> dict[str, str]:
    kept = ("x-amz-crc32", "x-amzn-requestid", UNITS_HEADER)
    return {name: str(value) for name, value in headers.items() if name.lower() in kept}


def _load(loading: Loading, tokens: Tokens) -> Callable[[Mapping[str, str], bytes], Answer]:
    with loading:
        return _load_moto(loading, tokens)


def _load_moto(loading: Loading, tokens: Tokens) -> Callable[[Mapping[str, str], bytes], Answer]:
    """Import and patch moto. Return the function that handles a request's headers and body."""
    from botocore.model import OperationNotFoundError
    from moto.core.model_instances import reset_model_data
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.core.request import Request
    from moto.dynamodb.models import dynamodb_backends
    from moto.dynamodb.responses import DynamoHandler

    from parley.dynamodb.fallback import tables
    from parley.dynamodb.fallback.capacity import TRANSACTION, CapacityCorrection

    tables.install()
    capacity = CapacityCorrection(dynamodb_backends[DEFAULT_ACCOUNT_ID][REGION])

    def dispatch(headers: Mapping[str, str], body: bytes) -> Answer:
        try:
            status, answered, content = DynamoHandler.dispatch(
                Request.from_primitives("POST", URL, dict(headers), body)
            )
        except OperationNotFoundError as error:
            raise NotImplementedError(str(error)) from None
        finally:
            # For its dashboard moto keeps every object that it has ever made. Nothing else reads these lists.
            with loading:
                reset_model_data()
        return status, answered, content.decode() if isinstance(content, bytes) else content

    def handle(headers: Mapping[str, str], body: bytes) -> Answer:
        operation = operation_of(headers)
        request, before = capacity.before(operation, body)
        repeated = operation == TRANSACTION and tokens.is_repeated(request)
        status, answered, content = (200, {}, "{}") if repeated else dispatch(headers, body)
        if not request or int(status) != 200:
            return status, answered, content
        if operation == TRANSACTION and not repeated:
            tokens.remember(request)
        content, units = capacity.after(operation, request, before, content, repeated=repeated)
        # The body may have changed, and SDKs compare it with its checksum.
        checksum = str(zlib.crc32(content.encode()))
        return status, {**answered, "x-amz-crc32": checksum, UNITS_HEADER: str(units)}, content

    return handle
