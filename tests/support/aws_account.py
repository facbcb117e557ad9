"""A small AWS account on loopback: the calls that the SAM CLI and `parley`'s commands for operators make.

Point clients to it with AWS_ENDPOINT_URL. It does what the API references of the services say; stacks.py has
CloudFormation, dead_letter_queues.py has SQS.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import escape

from tests.support.dead_letter_queues import Queues
from tests.support.http_server import serving
from tests.support.stacks import Stacks

ACCOUNT = "123456789012"
KEY = "AKIDGOODGOODGOODGOOD"
REGION = "eu-central-1"
_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/aws4_request")


class Refused(Exception):
    """An error of AWS's: its code and its text."""

    def __init__(self, code: str, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.code, self.status = code, status


@dataclass
class Account:
    """The contents of the account. `denied` names actions that its credentials have no right to."""

    stacks: Stacks = field(default_factory=Stacks)
    queues: Queues = field(default_factory=Queues)
    objects: dict[str, bytes] = field(default_factory=dict)
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    secrets: set[str] = field(default_factory=set)
    """Names in Parameter Store and in Secrets Manager."""
    concurrency: int = 1000
    unreserved: int | None = None
    code_size: int = 0
    rate: float | None = None
    invocations: list[tuple[str, bytes]] = field(default_factory=list)
    busy_after: int | None = None
    """Number of invocations after which Lambda refuses more."""
    calls: list[str] = field(default_factory=list)
    url: str = ""

    def environment(self) -> dict[str, str]:
        """Return the variables with which AWS's clients use this account."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
        }

    # The services. Each takes the parameters of an action and returns its answer.

    def sts(self, action: str, given: Mapping[str, Any]) -> Any:
        return {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/operator", "UserId": "AIDA"}

    def cloudformation(self, action: str, given: Mapping[str, Any]) -> Any:
        if url := given.get("TemplateURL"):
            given = {**given, "TemplateBody": self.objects[urlsplit(url).path].decode()}
        return getattr(self.stacks, re.sub(r"(?<!^)(?=[A-Z])", "_", action).lower())(given)

    def sqs(self, action: str, given: Mapping[str, Any]) -> Any:
        return getattr(self.queues, re.sub(r"(?<!^)(?=[A-Z])", "_", action).lower())(given)

    def servicequotas(self, action: str, given: Mapping[str, Any]) -> Any:
        if action == "GetServiceQuota" and self.rate is None:
            raise Refused("NoSuchResourceException", "The request failed because the specified quota does not exist.")
        return {"Quota": {"QuotaCode": given["QuotaCode"], "Value": self.rate or 10_000.0}}

    def ssm(self, action: str, given: Mapping[str, Any]) -> Any:
        if given["Name"] not in self.secrets:
            raise Refused("ParameterNotFound", "")
        return {"Parameter": {"Name": given["Name"], "Value": "encrypted"}}

    def secretsmanager(self, action: str, given: Mapping[str, Any]) -> Any:
        if given["SecretId"] not in self.secrets:
            raise Refused("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
        return {"Name": given["SecretId"]}

    def account_settings(self) -> Any:
        size = {"TotalCodeSize": 75 * 1024**3, "CodeSizeUnzipped": 262144000, "CodeSizeZipped": 52428800}
        unreserved = self.concurrency if self.unreserved is None else self.unreserved
        limits = {"ConcurrentExecutions": self.concurrency, "UnreservedConcurrentExecutions": unreserved}
        return {"AccountLimit": size | limits, "AccountUsage": {"TotalCodeSize": self.code_size, "FunctionCount": 9}}

    def invoke(self, name: str, event: bytes) -> None:
        if self.busy_after is not None and len(self.invocations) >= self.busy_after:
            raise Refused("TooManyRequestsException", "Rate Exceeded.", 429)
        try:
            json.loads(event)
        except ValueError:
            raise Refused("InvalidRequestContentException", "Could not parse request body into json") from None
        self.invocations.append((name, event))

    def check(self, key: str, action: str) -> None:
        """Refuse other credentials than the account's, and what they have no right to."""
        self.calls.append(action)
        if key != KEY:
            raise Refused("InvalidClientTokenId", "The security token included in the request is invalid.", 403)
        if action in self.denied:
            who = f"arn:aws:iam::{ACCOUNT}:user/operator"
            raise Refused("AccessDeniedException", f"User: {who} is not authorized to perform: {action}", 403)


@contextmanager
def running() -> Iterator[Account]:
    """Run an account that has nothing yet."""
    account = Account()
    with serving(type("Handler", (_Handler,), {"account": account})) as port:
        account.url = f"http://127.0.0.1:{port}"
        yield account


class _Handler(BaseHTTPRequestHandler):
    account: Account
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self._body()
        key, _, service = _CREDENTIAL.findall(self.headers.get("authorization", "Credential=?/0/?/s3/aws4_request"))[0]
        try:
            if service == "s3":
                self._s3(body)
            elif service == "lambda":
                self._lambda(key, body)
            elif "x-amz-target" in self.headers:
                action = self.headers["x-amz-target"].rpartition(".")[2]
                self.account.check(key, f"{service}:{action}")
                answer = getattr(self.account, service)(action, json.loads(body or b"{}"))
                self._send(200, json.dumps(answer or {}).encode(), "application/x-amz-json-1.0")
            else:
                given = _members(dict(parse_qsl(body.decode(), keep_blank_values=True)))
                action = given["Action"]
                self.account.check(key, f"{service}:{action}")
                answer = getattr(self.account, service)(action, given)
                self._send(200, _document(action, answer).encode(), "text/xml")
        except (Refused, ValueError) as error:
            self._refuse(service, error)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST  # noqa: N815 - the library's names

    def _lambda(self, key: str, body: bytes) -> None:
        if self.path.startswith("/2016-08-19/account-settings"):
            self.account.check(key, "lambda:GetAccountSettings")
            self._send(200, json.dumps(self.account.account_settings()).encode(), "application/json")
        else:
            self.account.check(key, "lambda:InvokeFunction")
            self.account.invoke(self.path.split("/")[3], body)
            self._send(202, b"", "application/json")

    def _s3(self, body: bytes) -> None:
        objects, url = self.account.objects, urlsplit(self.path)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        answer = ""
        if self.command == "POST":  # the begin and the end of an upload in parts
            objects.setdefault(url.path, b"")
            answer = (
                f"<Result><UploadId>upload</UploadId><Key>{escape(url.path)}</Key><ETag>&quot;e&quot;</ETag></Result>"
            )
        elif self.command == "PUT":
            parts = self.account.parts.setdefault(url.path, {})
            parts[int(query.get("partNumber", 1))] = body
            objects[url.path] = b"".join(parts[number] for number in sorted(parts))
        elif self.command == "DELETE":
            objects.pop(url.path, None)
        elif "list-type" in query:
            begin = f"{url.path}/{query.get('prefix', '')}"
            keys = [path[len(url.path) + 1 :] for path in objects if path.startswith(begin)]
            listed = "".join(f"<Contents><Key>{escape(key)}</Key></Contents>" for key in keys)
            answer = f"<ListBucketResult><KeyCount>{len(keys)}</KeyCount>{listed}</ListBucketResult>"
        elif url.path not in objects:
            raise Refused("NoSuchKey", "The specified key does not exist.", 404)
        elif self.command == "GET":
            answer = objects[url.path].decode()
        self._send(200, answer.encode(), "application/xml", {"etag": '"e"'})

    def _refuse(self, service: str, error: Refused | ValueError) -> None:
        code, status = getattr(error, "code", "ValidationError"), getattr(error, "status", 400)
        if service in ("sts", "cloudformation", "s3"):
            fields = f"<Code>{code}</Code><Message>{escape(str(error))}</Message>"
            wrapped = (
                f"<Error>{fields}</Error>"
                if service == "s3"
                else f"<ErrorResponse><Error>{fields}</Error></ErrorResponse>"
            )
            self._send(status, wrapped.encode(), "text/xml")
        else:
            content = json.dumps({"__type": code, "message": str(error), "Message": str(error)}).encode()
            self._send(status, content, "application/json", {"x-amzn-errortype": code})

    def _body(self) -> bytes:
        """Return the content of the request, without the marks of `aws-chunked`."""
        content = self.rfile.read(int(self.headers.get("content-length") or 0))
        if "aws-chunked" not in (self.headers.get("content-encoding") or ""):
            return content
        pieces, rest = b"", content
        while (size := int(rest.partition(b"\r\n")[0].partition(b";")[0], 16)) > 0:
            rest = rest.partition(b"\r\n")[2]
            pieces, rest = pieces + rest[:size], rest[size + 2 :]
        return pieces

    def _send(self, status: int, body: bytes, kind: str, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def _members(flat: Mapping[str, str]) -> dict[str, Any]:
    """Return the parameters of the query protocol: `Parameters.member.1.ParameterKey` is in a list of mappings."""
    found: dict[str, Any] = {}
    for path, value in flat.items():
        head, list_, rest = path.partition(".member.")
        if not list_:
            found[path] = value
            continue
        number, _, name = rest.partition(".")
        items = found.setdefault(head, {})
        if name:
            items.setdefault(int(number), {})[name] = value
        else:
            items[int(number)] = value
    return {
        name: [value[number] for number in sorted(value)] if isinstance(value, dict) else value
        for name, value in found.items()
    }


def _document(action: str, answer: Any) -> str:
    return f"<{action}Response><{action}Result>{_xml(answer or {})}</{action}Result></{action}Response>"


def _xml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "".join(f"<{name}>{_xml(each)}</{name}>" for name, each in value.items() if each is not None)
    if isinstance(value, list):
        return "".join(f"<member>{_xml(each)}</member>" for each in value)
    return str(value).lower() if isinstance(value, bool) else escape(str(value))
