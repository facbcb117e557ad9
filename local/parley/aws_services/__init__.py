"""SQS, SNS, S3, SSM parameters and Secrets Manager, embedded from moto; an error for every other service."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode

from parley.account import ACCOUNT_ID, REGION, secret_arn
from parley.asgi import ClientGone, Receive, Response
from parley.aws_services.known_services import endpoint_variables, signed_service
from parley.aws_services.long_poll import PAUSE_SECONDS, LongPoll, has_messages
from parley.aws_services.notifications import (
    BUCKETS,
    create_bucket,
    deliver_messages,
    deliver_notifications,
    is_untrue,
)
from parley.aws_services.queue_view import has_visible, is_empty, wait_seconds
from parley.clock import Clock
from parley.template.model import Bucket, Parameter, Queue, Secret, Subscription, Template, Topic
from parley.trace import Trace

_MOTO_HANDLERS = {
    "sqs": ("moto.sqs.responses", "SQSResponse"),
    "sns": ("moto.sns.responses", "SNSResponse"),
    "ssm": ("moto.ssm.responses", "SimpleSystemManagerResponse"),
    "s3": ("moto.s3.responses", "S3Response"),
    "secretsmanager": ("moto.secretsmanager.responses", "SecretsManagerResponse"),
}
_TARGETS = {"sqs": "AmazonSQS", "ssm": "AmazonSSM", "secretsmanager": "secretsmanager"}
_LATER = ("secretsmanager", "ssm", "s3")
"""Services that have their resources at their own first use. The others have theirs at the first use of any service."""

_MAX_RECEIVED = 10
"""The most messages that SQS returns for one `ReceiveMessage`."""

T = TypeVar("T")

Deliver = Callable[[str, bytes, str], None]


class Keeper(Protocol):
    """Keeps the data of services for another run. It is called in the thread that answers their requests."""

    def restore(self, service: str, names: Collection[str] = ()) -> None:
        """Put what was kept into what the template has made of a service; `names` are those of its new queues."""

    def holds_messages(self) -> bool:
        """Tell if messages of queues were kept."""

    def keep(self, service: str) -> None:
        """Keep what a request to a service has changed, before it is answered. Raises `OSError`."""


@dataclass(frozen=True, slots=True)
class Resources:
    """Resources of a template in these services."""

    queues: tuple[Queue, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    topics: tuple[Topic, ...] = ()
    subscriptions: tuple[Subscription, ...] = ()
    buckets: tuple[Bucket, ...] = ()
    secrets: tuple[Secret, ...] = ()

    @classmethod
    def of(cls, template: Template) -> Resources:
        """Return the resources that a template has."""
        return cls(
            template.queues,
            template.parameters,
            template.topics,
            template.subscriptions,
            template.buckets,
            template.secrets,
        )


class AwsServices:
    """The services beside DynamoDB and Lambda. Without a `keeper` their data is lost when the process ends.

    Each embedded service has its endpoint at `{url}/{service}`; `url` itself is the endpoint of all others. `deliver`
    sends an event to the function with an ARN, and names its source. `clock` is the machine's.
    """

    def __init__(
        self,
        url: str,
        trace: Trace,
        clock: Clock,
        deliver: Deliver | None = None,
        keeper: Keeper | None = None,
    ) -> None:
        self.url = url
        self._deliver = deliver
        self._keeper = keeper
        self._clock = clock
        self._trace = trace
        # One thread: moto's backends are plain dictionaries without locks. moto is imported at its first use.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="services")
        self._handlers: dict[str, Any] = {}
        self._waiting: list[Resources] = []
        self._holds_messages = keeper is not None and keeper.holds_messages()
        self._unknown: set[str] = set()
        self._later: list[Resources] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked = ""

    async def answer(
        self,
        service: str,
        method: str,
        headers: Mapping[str, str],
        body: bytes,
        resource: str = "/",
        receive: Receive | None = None,
    ) -> Response:
        """Answer one request. `service` is the part of the path below `url`; it is empty for `url` itself.

        `resource` is the path below that, with the query: S3 has buckets and keys there. `receive` tells of a client
        that goes while it waits for messages. Raises `ClientGone` then: it must not get a message.
        """
        if service not in _MOTO_HANDLERS:
            variables = await asyncio.to_thread(endpoint_variables, headers)
            return self._not_emulated(headers, variables)
        if service == "sqs" and (poll := LongPoll.of(headers, body)):
            return await self._poll(poll, method, dict(headers), receive)
        return await self._in_thread(self._answer, service, method, dict(headers), body, resource)

    async def _poll(self, poll: LongPoll, method: str, headers: dict[str, str], receive: Receive | None) -> Response:
        """Answer a request for messages as soon as there are some, or with none after its time."""
        seconds = await self.look(partial(wait_seconds, poll.queue)) if poll.seconds is None else poll.seconds
        end = self._clock.time() + seconds
        gone = asyncio.ensure_future(receive()) if receive and seconds else None
        try:
            answer = await self._in_thread(self._answer, "sqs", method, headers, poll.body)
            while answer.status < 400 and not has_messages(answer.body) and self._clock.time() < end:
                await self._clock.sleep(PAUSE_SECONDS)
                if gone and gone.done():
                    raise ClientGone
                if await self.look(partial(has_visible, poll.queue)):
                    answer = await self._in_thread(self._answer, "sqs", method, headers, poll.body)
            return answer
        finally:
            if gone:
                gone.cancel()

    async def provision(self, resources: Resources) -> None:
        """Create resources of the template at the first use of their service.

        Many runs use none of them, and moto's import takes half a second.
        """
        self._waiting.append(resources)
        if self._handlers:
            await self._in_thread(self._create)

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do work in the thread of the services."""
        self._loop = asyncio.get_running_loop()
        return await self._loop.run_in_executor(self._executor, work, *arguments)

    def _create(self) -> None:
        """Create what waits for the first use of a service."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            for queue in each.queues:
                self._request("sqs", "CreateQueue", {"QueueName": queue.name, "Attributes": dict(queue.attributes)})
            for topic in each.topics:
                self._request_of_sns("CreateTopic", {"Name": topic.name}, topic.attributes)
            for subscription in each.subscriptions:
                protocol = subscription.protocol
                subscribed = {"TopicArn": subscription.topic, "Protocol": protocol, "Endpoint": subscription.endpoint}
                raw = {"RawMessageDelivery": str(subscription.raw).lower()} if protocol == "sqs" else {}
                self._request_of_sns("Subscribe", subscribed, {**raw, **subscription.filters})
            self._later.append(each)
            for service in _LATER:
                if service in self._handlers:
                    self._fill(service, each)
            if self._keeper:
                with self._clock.loading:
                    self._keeper.restore("sqs", [queue.name for queue in each.queues])

    async def clear(self) -> None:
        """Forget everything that the services hold, what the template has put there included."""
        await self._in_thread(self._clear)

    def _clear(self) -> None:
        if self._handlers:
            from moto.backends import get_backend

            for service in self._handlers:
                place = "aws" if service == "s3" else REGION
                get_backend(service)[ACCOUNT_ID][place].reset()  # type: ignore[call-overload]
            # The template's buckets are made again at the next use.
            self._handlers.pop("s3", None)
        self._waiting, self._later = [], []

    def _fill(self, service: str, resources: Resources) -> None:
        """Create what the template has of a service that is loaded by itself."""
        if service == "s3":
            self._create_buckets(resources.buckets)
        elif service == "ssm":
            self._create_parameters(resources.parameters)
        elif service == "secretsmanager":
            self._create_secrets(resources.secrets)

    def _create_parameters(self, parameters: Iterable[Parameter]) -> None:
        for parameter in parameters:
            content = {"Name": parameter.name, "Value": parameter.value, "Type": parameter.type, "Overwrite": True}
            self._request("ssm", "PutParameter", content)

    def _create_secrets(self, secrets: Iterable[Secret]) -> None:
        """Create secrets with the ARNs that `Ref` returns. One that is there, after a reload, gets the new value."""
        from moto.secretsmanager.models import secretsmanager_backends

        there = secretsmanager_backends[ACCOUNT_ID][REGION].secrets
        for secret in secrets:
            value = {"SecretString": secret.value} if secret.value else {}
            if secret.name not in there:
                self._request("secretsmanager", "CreateSecret", {"Name": secret.name, **value})
                there[secret.name].arn = secret_arn(secret.name)
            elif value:
                self._request("secretsmanager", "PutSecretValue", {"SecretId": secret.name, **value})

    def _create_buckets(self, buckets: Iterable[Bucket]) -> None:
        try:
            for bucket in buckets:
                create_bucket(self._handlers["s3"], bucket)
        except ValueError as error:
            self._trace.record("note", text=f"S3: {error}")

    async def prepare(self) -> None:
        """Create what waits for the first use. Load S3, which takes seconds, if somebody may wait for its events."""
        if any(each != Resources() for each in (*self._waiting, *self._later)):
            await self._in_thread(self._prepare)

    def _prepare(self) -> None:
        self._create()
        buckets = (bucket for each in self._later for bucket in each.buckets)
        if any(bucket.notifications or bucket.notifies_bus for bucket in buckets):
            self._handler("s3")

    async def look(self, view: Callable[[], T]) -> T:
        """Return what a function finds in moto's data, in the thread that uses them."""
        return await self._in_thread(self._look, view)

    def _look(self, view: Callable[[], T]) -> T:
        self._create()
        return view()

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
        if not self._handlers and not self._holds_messages:
            return []  # Nobody has sent any: no service was used yet.
        return await self._in_thread(self._receive, queue, count)

    def _receive(self, queue: str, count: int) -> list[dict[str, Any]]:
        self._create()
        if is_empty(queue):
            return []  # An event source finds it so four times a second. A request costs a hundred times as much.
        content = {
            "QueueUrl": _queue_url(queue),
            "MaxNumberOfMessages": min(count, _MAX_RECEIVED),
            "AttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }
        messages: list[dict[str, Any]] = self._request("sqs", "ReceiveMessage", content).get("Messages", [])
        return messages

    async def delete(self, queue: str, receipt: str) -> None:
        """Delete a received message."""
        await self._call("sqs", "DeleteMessage", {"QueueUrl": _queue_url(queue), "ReceiptHandle": receipt})

    async def _call(self, service: str, operation: str, content: Mapping[str, Any]) -> dict[str, Any]:
        return await self._in_thread(self._request, service, operation, content)

    def _request(self, service: str, operation: str, content: Mapping[str, Any]) -> dict[str, Any]:
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"{_TARGETS[service]}.{operation}",
        }
        answer = self._answer(service, "POST", headers, json.dumps(content).encode())
        if answer.status >= 400:
            reason = answer.body.decode(errors="replace")[:300]
            self._trace.record("note", text=f"{service} refused {operation} ({answer.status}): {reason}")
            return {}
        return dict(json.loads(answer.body or b"{}"))

    def _request_of_sns(self, operation: str, content: Mapping[str, str], attributes: Mapping[str, str]) -> None:
        form = {"Action": operation, "Version": "2010-03-31", **content}
        for number, (name, value) in enumerate(attributes.items(), 1):
            form |= {f"Attributes.entry.{number}.key": name, f"Attributes.entry.{number}.value": value}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self._answer("sns", "POST", headers, urlencode(form).encode())
        if answer.status >= 400:
            reason = answer.body.decode(errors="replace")[:300]
            self._trace.record("note", text=f"sns refused {operation} ({answer.status}): {reason}")

    def _answer(self, service: str, method: str, headers: dict[str, str], body: bytes, resource: str = "/") -> Response:
        # Without signature and host, moto takes region and URLs from its own URL. So all functions see the same queues.
        # S3's answers have no URLs, and moto refuses objects to those who do not sign.
        dropped = ("host",) if service == "s3" else ("authorization", "host")
        unsigned = {name: value for name, value in headers.items() if name.lower() not in dropped}
        self._create()
        self._asked = resource
        try:
            status, answered, content = self._handler(service)(method, unsigned, body, resource)
        except Exception as error:  # a bug of moto's must not look like a bug of the function's
            return _error_response(500, "InternalFailure", f"moto failed: {type(error).__name__}: {error}")
        finally:
            self._forget_instances()
        if not_kept := self._keep(service):
            return not_kept
        content = content.encode() if isinstance(content, str) else content or b""
        skipped = ("content-length", "date", "server", "status")
        kept = {str(name): str(value) for name, value in answered.items() if name.lower() not in skipped}
        if service == "s3":
            lengths = [int(value) for name, value in answered.items() if name.lower() == "content-length"]
            length = lengths[0] if method == "HEAD" and lengths else None
            return Response(int(status), kept, content, length=length)
        # moto's answers hold the URLs of queues on AWS; the caller must come back to this machine.
        aws_url, local_url = f"https://{service}.{REGION}.amazonaws.com", f"{self.url}/{service}"
        return Response(int(status), kept, content.replace(aws_url.encode(), local_url.encode()))

    def _keep(self, service: str) -> Response | None:
        """Keep what a request has changed. Return the error if that fails: it must not be acknowledged then."""
        try:
            if self._keeper:
                self._keeper.keep(service)
        except OSError as error:
            return _error_response(507, "NotKept", str(error))
        return None

    def _notify(self, function: str, event: Mapping[str, Any], source: str) -> None:
        """Send an event of a service's to a function, from the thread of the services."""
        if source.startswith(BUCKETS) and is_untrue(event, self._asked.partition("?")[2]):
            return
        if self._deliver and self._loop:
            self._loop.call_soon_threadsafe(self._deliver, function, json.dumps(event).encode(), source)

    def _handler(self, service: str) -> Any:
        if service not in self._handlers:
            with self._clock.loading:
                self._handlers[service] = _load(service)
            if service == "ssm":
                self._handler("secretsmanager")  # parameters may refer to secrets
            for each in self._later:
                self._fill(service, each)
            if service == "s3" and self._keeper:
                with self._clock.loading:
                    self._keeper.restore(service)
        with self._clock.loading:
            # moto's data are the process's own, and so is what delivers its events. A bucket may send to a topic.
            if service in ("sns", "s3"):
                deliver_messages(self._notify, lambda text: self._trace.record("note", text=text))
            if service == "s3":
                deliver_notifications(self._notify)
        return self._handlers[service]

    def _forget_instances(self) -> None:
        """Empty moto's lists of every object that it has ever made. They are for its dashboard only."""
        from moto.core.model_instances import reset_model_data

        with self._clock.loading:
            reset_model_data()

    def _not_emulated(self, headers: Mapping[str, str], variables: list[str]) -> Response:
        """Return the error for a service that the emulator does not have, in that service's own format.

        Without it the function would call AWS itself, with keys that open nothing there.
        """
        lower = {name.lower(): value for name, value in headers.items()}
        name = signed_service(lower) or lower.get("x-amz-target", "this service").partition(".")[0]
        variable = " or ".join(variables) or "AWS_ENDPOINT_URL_…"
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

    It takes method, headers, body and resource, and returns status, headers and body.
    """
    from moto.core.base_backend import AccountSpecificBackend
    from moto.core.request import Request

    # For the regions of a service moto reads the endpoints of all services: 15 MB and a tenth of a second.
    backends: Any = AccountSpecificBackend
    backends._generate_regions = lambda _, service: [REGION]
    module, name = _MOTO_HANDLERS[service]
    handler = getattr(importlib.import_module(module), name)
    url = f"https://{service}.{REGION}.amazonaws.com/"

    def handle(method: str, headers: dict[str, str], body: bytes, resource: str = "/") -> Any:
        # moto has an account of its own; queues must have the ARNs that the template gives them.
        addressed = {**headers, "x-moto-account-id": ACCOUNT_ID}
        whole = url + resource.lstrip("/")
        request = Request.from_primitives(method, whole, addressed, body)
        if service == "s3":
            # S3 names buckets and keys in the path, with an answer of another kind for each.
            dispatch = handler.key_dispatch if "/" in resource.partition("?")[0].strip("/") else handler.bucket_dispatch
            return dispatch(request, whole, request.headers)
        return handler.dispatch(request)

    return handle


def _error_response(status: int, code: str, message: str) -> Response:
    content = {"__type": code, "message": message}
    return Response.of_json(status, content, {"x-amzn-ErrorType": code, "content-type": "application/x-amz-json-1.0"})
