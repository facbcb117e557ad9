"""SQS, SSM parameters and Secrets Manager, embedded from moto; an error for every other service."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

from parley.account import ACCOUNT_ID, REGION
from parley.asgi import Response
from parley.template.model import Parameter, Queue
from parley.trace import Trace

_MOTO_HANDLERS = {
    "sqs": ("moto.sqs.responses", "SQSResponse"),
    "ssm": ("moto.ssm.responses", "SimpleSystemManagerResponse"),
    "secretsmanager": ("moto.secretsmanager.responses", "SecretsManagerResponse"),
}
_TARGETS = {"sqs": "AmazonSQS", "ssm": "AmazonSSM"}
_MAX_RECEIVED = 10
"""The most messages that SQS returns for one `ReceiveMessage`."""

_SIGNED_SERVICE = re.compile(r"Credential=[^/]+/[^/]+/[^/]+/([^/]+)/")


class AwsServices:
    """The services beside DynamoDB and Lambda. Their data is lost when the process ends.

    Each embedded service has its endpoint at `{url}/{service}`; `url` itself is the endpoint of all others.
    """

    def __init__(self, url: str, trace: Trace, importing: Lock) -> None:
        self.url = url
        self._importing = importing
        self._trace = trace
        # One thread: moto's backends are plain dictionaries without locks. moto is imported at its first use.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="services")
        self._handlers: dict[str, Any] = {}
        self._unknown: set[str] = set()

    async def answer(self, service: str, method: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer one request. `service` is the part of the path below `url`; it is empty for `url` itself."""
        if service not in _MOTO_HANDLERS:
            return self._not_emulated(headers)
        work = asyncio.get_running_loop().run_in_executor
        return await work(self._executor, self._answer, service, method, dict(headers), body)

    async def provision(self, queues: tuple[Queue, ...], parameters: tuple[Parameter, ...]) -> None:
        """Create the template's queues and parameters."""
        for queue in queues:
            await self._call("sqs", "CreateQueue", {"QueueName": queue.name, "Attributes": dict(queue.attributes)})
        for parameter in parameters:
            content = {"Name": parameter.name, "Value": parameter.value, "Type": parameter.type, "Overwrite": True}
            await self._call("ssm", "PutParameter", content)

    async def send(self, arn: str, body: str, attributes: Mapping[str, str]) -> None:
        """Send a message with text attributes to the queue with this ARN."""
        # SQS refuses an empty attribute value.
        text_attributes = {
            name: {"DataType": "String", "StringValue": value or " "} for name, value in attributes.items()
        }
        content = {
            "QueueUrl": _queue_url(arn.rpartition(":")[2]),
            "MessageBody": body,
            "MessageAttributes": text_attributes,
        }
        await self._call("sqs", "SendMessage", content)

    async def receive(self, queue: str, count: int) -> list[dict[str, Any]]:
        """Receive at most `count` messages of a queue, in the form of SQS's API."""
        content = {
            "QueueUrl": _queue_url(queue),
            "MaxNumberOfMessages": min(count, _MAX_RECEIVED),
            "AttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }
        messages: list[dict[str, Any]] = (await self._call("sqs", "ReceiveMessage", content)).get("Messages", [])
        return messages

    async def delete(self, queue: str, receipt: str) -> None:
        """Delete a received message."""
        await self._call("sqs", "DeleteMessage", {"QueueUrl": _queue_url(queue), "ReceiptHandle": receipt})

    async def _call(self, service: str, operation: str, content: Mapping[str, Any]) -> dict[str, Any]:
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"{_TARGETS[service]}.{operation}",
        }
        answer = await self.answer(service, "POST", headers, json.dumps(content).encode())
        if answer.status >= 400:
            reason = answer.body.decode(errors="replace")[:300]
            self._trace.record("note", text=f"{service} refused {operation} ({answer.status}): {reason}")
            return {}
        return dict(json.loads(answer.body or b"{}"))

    def _answer(self, service: str, method: str, headers: dict[str, str], body: bytes) -> Response:
        # Without signature and host, moto takes region and URLs from its own URL. So all functions see the same queues.
        unsigned = {name: value for name, value in headers.items() if name.lower() not in ("authorization", "host")}
        try:
            status, answered, content = self._handler(service)(method, unsigned, body)
        except Exception as error:  # a bug of moto's must not look like a bug of the function's
            return _error_response(500, "InternalFailure", f"moto failed: {type(error).__name__}: {error}")
        finally:
            self._forget_instances()
        content = content.encode() if isinstance(content, str) else content or b""
        skipped = ("content-length", "date", "server", "status")
        kept = {str(name): str(value) for name, value in answered.items() if name.lower() not in skipped}
        # moto's answers hold the URLs of queues on AWS; the caller must come back to this machine.
        aws_url, local_url = f"https://{service}.{REGION}.amazonaws.com", f"{self.url}/{service}"
        return Response(int(status), kept, content.replace(aws_url.encode(), local_url.encode()))

    def _handler(self, service: str) -> Any:
        with self._importing:
            if service not in self._handlers:
                self._handlers[service] = _load(service)
            return self._handlers[service]

    def _forget_instances(self) -> None:
        """Empty moto's lists of every object that it has ever made. They are for its dashboard only."""
        from moto.core.model_instances import reset_model_data

        with self._importing:
            reset_model_data()

    def _not_emulated(self, headers: Mapping[str, str]) -> Response:
        """Return the error for a service that the emulator does not have, in that service's own format.

        Without it the function would call AWS itself, with keys that open nothing there.
        """
        lower = {name.lower(): value for name, value in headers.items()}
        match = _SIGNED_SERVICE.search(lower.get("authorization", ""))
        name = match[1] if match else "this service"
        variable = f"AWS_ENDPOINT_URL_{name.upper().replace('-', '_')}" if match else "AWS_ENDPOINT_URL_…"
        message = f"The emulator has no {name}. Set {variable} in the function's environment to an endpoint of it."
        if name not in self._unknown:
            self._unknown.add(name)
            self._trace.record("note", text=message)
        if "json" in lower.get("content-type", ""):
            return _error_response(501, "NotInEmulator", message)
        error = f"<Error><Code>NotInEmulator</Code><Message>{message}</Message></Error>"
        is_query = "x-www-form-urlencoded" in lower.get("content-type", "")
        body = f"<ErrorResponse>{error}</ErrorResponse>" if is_query else error
        return Response(501, {"content-type": "application/xml"}, body.encode())


def _queue_url(name: str) -> str:
    return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT_ID}/{name}"


def _load(service: str) -> Any:
    """Return the function that handles a service's requests.

    It takes method, headers and body, and returns status, headers and body.
    """
    from moto.core.request import Request

    module, name = _MOTO_HANDLERS[service]
    handler = getattr(importlib.import_module(module), name)
    url = f"https://{service}.{REGION}.amazonaws.com/"

    def handle(method: str, headers: dict[str, str], body: bytes) -> Any:
        # moto has an account of its own; queues must have the ARNs that the template gives them.
        addressed = {**headers, "x-moto-account-id": ACCOUNT_ID}
        return handler.dispatch(Request.from_primitives(method, url, addressed, body))

    return handle


def _error_response(status: int, code: str, message: str) -> Response:
    content = {"__type": code, "message": message}
    return Response.of_json(status, content, {"x-amzn-ErrorType": code, "content-type": "application/x-amz-json-1.0"})
