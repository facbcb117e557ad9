"""DynamoDB: moto's, embedded in the emulator, or any endpoint that speaks it; and the template's tables in it."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from parley.account import REGION
from parley.asgi import Response
from parley.emulator.call_log import UNITS_HEADER
from parley.errors import StartError
from parley.template.model import Table, Template

_CREDENTIAL = re.compile(r"Credential=[^/]+/")
_URL = f"https://dynamodb.{REGION}.amazonaws.com/"


class Embedded:
    """moto's DynamoDB in this process, without moto's web server. What it keeps is gone with the process."""

    def __init__(self) -> None:
        # One thread, for moto's tables are plain dictionaries; its import, 0.7 s, begins at once.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="dynamodb")
        self._handler = self._executor.submit(_load_moto)

    async def answer(self, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer one request of DynamoDB's JSON protocol."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._answer, headers, body)

    def _answer(self, headers: Mapping[str, str], body: bytes) -> Response:
        # Without the signature moto takes the region from the URL, so all functions see the same tables.
        unsigned = {name: value for name, value in headers.items() if name.lower() != "authorization"}
        try:
            status, answered, content = self._handler.result()(unsigned, body)
        except NotImplementedError as error:
            return _failure(400, "UnknownOperationException", f"moto does not do this: {error}")
        except Exception as error:  # a bug of moto's must not look like one of the functions'
            return _failure(500, "InternalServerError", f"moto failed: {type(error).__name__}: {error}")
        if isinstance(content, str):
            content = content.encode()
        return Response(int(status), {"content-type": "application/x-amz-json-1.0", **_plain(answered)}, content)


class Forwarded:
    """Another DynamoDB, whose requests pass through here so that a plan of faults can meet them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._executor = ThreadPoolExecutor(16, thread_name_prefix="dynamodb")

    async def answer(self, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer one request with what the other one answers."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._answer, headers, body)

    def _answer(self, headers: Mapping[str, str], body: bytes) -> Response:
        lower = {name.lower(): value for name, value in headers.items()}
        kept = ("content-type", "x-amz-target", "x-amz-date")
        sent: dict[str, str] = {name: lower[name] for name in kept if name in lower}
        # DynamoDB Local does not check signatures, but keeps the tables of each access key apart.
        sent["authorization"] = _CREDENTIAL.sub("Credential=emulator/", lower.get("authorization", ""))
        request = Request(self._url, body, sent, method="POST")  # noqa: S310 - the developer's own URL
        try:
            with urlopen(request, timeout=10) as answer:  # noqa: S310
                return Response(answer.status, {"content-type": "application/x-amz-json-1.0"}, answer.read())
        except HTTPError as error:
            return Response(error.code, {"content-type": "application/x-amz-json-1.0"}, error.read())
        except OSError as error:
            return _failure(500, "InternalServerError", f"No answer from {self._url}: {error}")


def _load_moto() -> Any:
    from botocore.model import OperationNotFoundError
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.core.request import Request
    from moto.dynamodb.models import dynamodb_backends
    from moto.dynamodb.responses import DynamoHandler

    from parley.dynamodb import moto_tables
    from parley.dynamodb.consumption import Consumption

    moto_tables.install()
    consumption = Consumption(dynamodb_backends[DEFAULT_ACCOUNT_ID][REGION])

    def dispatch(headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, Any], str | bytes]:
        try:
            return DynamoHandler.dispatch(Request.from_primitives("POST", _URL, dict(headers), body))  # type: ignore[no-any-return]
        except OperationNotFoundError as error:
            raise NotImplementedError(str(error)) from None

    def handle(headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, Any], str | bytes]:
        target = next((value for name, value in headers.items() if name.lower() == "x-amz-target"), "")
        operation = target.partition(".")[2]
        request, before = consumption.before(operation, body)
        status, answered, content = dispatch(headers, body)
        if request and int(status) == 200:
            content, units = consumption.after(operation, request, before, content)  # type: ignore[arg-type]
            answered = {**answered, "x-amz-crc32": str(zlib.crc32(content.encode())), UNITS_HEADER: str(units)}
        return status, answered, content

    return handle


def _failure(status: int, kind: str, message: str) -> Response:
    content = {"__type": f"com.amazonaws.dynamodb.v20120810#{kind}", "message": message}
    return Response.of_json(status, content, {"content-type": "application/x-amz-json-1.0"})


def _plain(headers: Mapping[str, Any]) -> dict[str, str]:
    skipped = ("content-length", "content-type", "date", "server", "status")
    return {name: str(value) for name, value in headers.items() if name.lower() not in skipped}


def furnish(endpoint: str, template: Template, users: Iterable[str], credentials: Mapping[str, str]) -> None:
    """Make the template's tables, and the users, in the DynamoDB at this URL. What is there already is kept.

    `credentials` are variables by AWS's names; without them, some that open nothing are used.
    Raises `StartError` where no DynamoDB answers, or where it refuses.
    """
    # Not at the top: the emulator has better things to do while it starts.
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client = _client(endpoint, credentials)
        create_tables(client, template.tables)
        _add_users(client, template, users)
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        if code.isdigit():  # the bare status of an answer that names no error of DynamoDB's
            raise _absent(endpoint, f"what answers there says {code}") from None
        raise StartError(
            f"The DynamoDB at {endpoint} refused to make the template's tables ready: {code}: {message}. "
            "Correct them there or in the template, or leave out --dynamodb for the embedded one."
        ) from None
    except (BotoCoreError, ValueError) as error:
        raise _absent(endpoint, str(error).rstrip(".")) from None


def _client(endpoint: str, credentials: Mapping[str, str]) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name=credentials.get("AWS_REGION", REGION),
        aws_access_key_id=credentials.get("AWS_ACCESS_KEY_ID", "emulator"),
        aws_secret_access_key=credentials.get("AWS_SECRET_ACCESS_KEY", "emulator"),
        aws_session_token=credentials.get("AWS_SESSION_TOKEN") or None,
        config=Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1}),
    )


def _absent(endpoint: str, reason: str) -> StartError:
    return StartError(
        f"No DynamoDB at {endpoint}: {reason}. Start one there, or leave out --dynamodb for the embedded one."
    )


def create_tables(client: Any, tables: Iterable[Table]) -> None:
    """Create tables with a boto3 DynamoDB client, and wait until they can be used. Existing ones are kept."""
    created = []
    for table in tables:
        try:
            client.create_table(**table.definition)
        except client.exceptions.ResourceInUseException:
            continue
        created.append(table)
    for table in created:
        client.get_waiter("table_exists").wait(TableName=table.name, WaiterConfig={"Delay": 1})
        if table.ttl_attribute:
            ttl = {"Enabled": True, "AttributeName": table.ttl_attribute}
            client.update_time_to_live(TableName=table.name, TimeToLiveSpecification=ttl)


def _add_users(client: Any, template: Template, users: Iterable[str]) -> None:
    """Add users to the table that the functions know as USERS_TABLE, if they know one."""
    known = (function.environment.get("USERS_TABLE") for function in template.functions.values())
    table = next(filter(None, known), None)
    if table is None:
        return
    for user in users:
        item = {"userId": {"S": user}, "name": {"S": user}}
        try:
            client.put_item(TableName=table, Item=item, ConditionExpression="attribute_not_exists(userId)")
        except client.exceptions.ConditionalCheckFailedException:
            continue
