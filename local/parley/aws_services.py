"""SQS, SSM's parameters and Secrets Manager: moto's, embedded; and an answer for every service that is not here."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from parley.account import ACCOUNT_ID, REGION
from parley.asgi import Response
from parley.template.model import Parameter, Queue
from parley.trace import Trace

SERVICES_PATH = "/_parley/aws"
"""Below it each service that is embedded has its endpoint; itself it is that of all others."""

_HANDLERS = {
    "sqs": ("moto.sqs.responses", "SQSResponse"),
    "ssm": ("moto.ssm.responses", "SimpleSystemManagerResponse"),
    "secretsmanager": ("moto.secretsmanager.responses", "SecretsManagerResponse"),
}

_SCOPE = re.compile(r"Credential=[^/]+/[^/]+/[^/]+/([^/]+)/")


class Services:
    """The services beside DynamoDB and Lambda. What they keep is gone with the process."""

    def __init__(self, url: str, trace: Trace) -> None:
        self._url = url
        self._trace = trace
        # One thread, for moto's backends are plain dictionaries; moto is imported when it is first needed.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="services")
        self._handlers: dict[str, Any] = {}
        self._unknown: set[str] = set()

    async def answer(self, path: str, method: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer one request below `SERVICES_PATH`."""
        service = path.removeprefix(SERVICES_PATH).strip("/").partition("/")[0]
        if service not in _HANDLERS:
            return self._absent(headers)
        work = asyncio.get_running_loop().run_in_executor
        return await work(self._executor, self._answer, service, method, dict(headers), body)

    async def furnish(self, queues: tuple[Queue, ...], parameters: tuple[Parameter, ...]) -> None:
        """Make the template's queues and parameters."""
        for queue in queues:
            await self._call("sqs", "CreateQueue", {"QueueName": queue.name, "Attributes": dict(queue.attributes)})
        for parameter in parameters:
            content = {"Name": parameter.name, "Value": parameter.value, "Type": parameter.type, "Overwrite": True}
            await self._call("ssm", "PutParameter", content)

    async def send(self, arn: str, body: str, attributes: Mapping[str, str]) -> None:
        """Send a message to a queue, by its ARN, with attributes that are text."""
        said = {name: {"DataType": "String", "StringValue": value or " "} for name, value in attributes.items()}
        content = {
            "QueueUrl": _queue_url(arn.rpartition(":")[2]),
            "MessageBody": body,
            "MessageAttributes": said,
        }
        await self._call("sqs", "SendMessage", content)

    async def receive(self, queue: str, count: int) -> list[dict[str, Any]]:
        """Receive so many messages of a queue at most, as SQS has them."""
        content = {
            "QueueUrl": _queue_url(queue),
            "MaxNumberOfMessages": min(count, 10),
            "AttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }
        messages: list[dict[str, Any]] = (await self._call("sqs", "ReceiveMessage", content)).get("Messages", [])
        return messages

    async def delete(self, queue: str, receipt: str) -> None:
        """Delete a message that was received."""
        await self._call("sqs", "DeleteMessage", {"QueueUrl": _queue_url(queue), "ReceiptHandle": receipt})

    async def _call(self, service: str, operation: str, content: Mapping[str, Any]) -> dict[str, Any]:
        target = {"sqs": "AmazonSQS", "ssm": "AmazonSSM"}[service]
        headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"{target}.{operation}"}
        answer = await self.answer(f"{SERVICES_PATH}/{service}", "POST", headers, json.dumps(content).encode())
        if answer.status >= 400:
            said = answer.body.decode(errors="replace")[:300]
            self._trace.record("note", text=f"{service} {operation} was refused ({answer.status}): {said}")
            return {}
        return dict(json.loads(answer.body or b"{}"))

    def _answer(self, service: str, method: str, headers: dict[str, str], body: bytes) -> Response:
        # Without signature and host moto takes region and URLs from its own URL: all functions see the same queues.
        unsigned = {name: value for name, value in headers.items() if name.lower() not in ("authorization", "host")}
        try:
            status, answered, content = self._handler(service)(method, unsigned, body)
        except Exception as error:  # a bug of moto's must not look like one of the functions'
            return _refusal(500, "InternalFailure", f"moto failed: {type(error).__name__}: {error}")
        content = content.encode() if isinstance(content, str) else content or b""
        skipped = ("content-length", "date", "server", "status")
        kept = {str(name): str(value) for name, value in answered.items() if name.lower() not in skipped}
        return Response(int(status), kept, content.replace(self._cloud(service), self._here(service)))

    def _cloud(self, service: str) -> bytes:
        """Return how moto's answers begin the URLs of queues."""
        return f"https://{service}.{REGION}.amazonaws.com".encode()

    def _here(self, service: str) -> bytes:
        return f"{self._url}{SERVICES_PATH}/{service}".encode()

    def _handler(self, service: str) -> Any:
        if service not in self._handlers:
            self._handlers[service] = _load(service)
        return self._handlers[service]

    def _absent(self, headers: Mapping[str, str]) -> Response:
        """Answer for a service that is not here: the function must not call the cloud with keys that open nothing."""
        lower = {name.lower(): value for name, value in headers.items()}
        match = _SCOPE.search(lower.get("authorization", ""))
        name = match[1] if match else "this service"
        variable = f"AWS_ENDPOINT_URL_{name.upper().replace('-', '_')}" if match else "AWS_ENDPOINT_URL_…"
        message = f"The emulator has no {name}. Set {variable} in the function's environment to an endpoint that has."
        if name not in self._unknown:
            self._unknown.add(name)
            self._trace.record("note", text=message)
        if "json" in lower.get("content-type", ""):
            return _refusal(501, "NotInEmulator", message)
        error = f"<Error><Code>NotInEmulator</Code><Message>{message}</Message></Error>"
        is_query = "x-www-form-urlencoded" in lower.get("content-type", "")
        body = f"<ErrorResponse>{error}</ErrorResponse>" if is_query else error
        return Response(501, {"content-type": "application/xml"}, body.encode())


def _queue_url(name: str) -> str:
    return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT_ID}/{name}"


def _load(service: str) -> Any:
    """Return what handles a service's requests: method, headers and body in; status, headers and body out."""
    from moto.core.request import Request

    module, name = _HANDLERS[service]
    handler = getattr(importlib.import_module(module), name)
    url = f"https://{service}.{REGION}.amazonaws.com/"

    def handle(method: str, headers: dict[str, str], body: bytes) -> Any:
        # Queues are to have the ARNs that the template gives them.
        return handler.dispatch(
            Request.from_primitives(method, url, {**headers, "x-moto-account-id": ACCOUNT_ID}, body)
        )

    return handle


def _refusal(status: int, code: str, message: str) -> Response:
    content = {"__type": code, "message": message}
    return Response.of_json(status, content, {"x-amzn-ErrorType": code, "content-type": "application/x-amz-json-1.0"})
