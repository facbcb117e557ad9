"""Calls of AWS's services, as the trace records them and as the fault plan names them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from parley.asgi import Response, Scope, json_object
from parley.aws_services.s3_signatures import MAX_FORM_BYTES
from parley.dynamodb.engine import UNITS_HEADER
from parley.emulator.paths import CONNECTIONS_PATH, DYNAMODB_PATH, INVOKE_PATH, SERVICES_PATH
from parley.functions.invoke_api import REQUEST_ID_HEADER, InvocationType, Refusal, reference
from parley.gateway.events import decode_headers
from parley.iam.requirements import Call, s3_call, with_more_objects
from parley.template.model import LATEST
from parley.trace import Trace

_CREDENTIAL = re.compile(r"Credential=([^/]+)/(?:[^/]+/[^/]+/([^/]+)/)?")
_FIELD = rb'(?i);\s*name="%s"(?:\r\n[^\r\n]+)*\r\n\r\n([^\r\n]*)\r\n'
_CONNECTION_OPERATIONS = {"POST": "PostToConnection", "GET": "GetConnection", "DELETE": "DeleteConnection"}


class ServiceCall:
    """One call of a service, timed from the creation of this object.

    `access_key` is the key that signs it; `caller` is the name of the function whose process has this key, if any, and
    `request` the id of the event that this process handles.
    """

    def __init__(
        self, scope: Scope, body: bytes, caller: Callable[[str], str], request: Callable[[str], str] = lambda key: ""
    ) -> None:
        self._began = time.perf_counter()
        self._headers = {name.lower(): value for name, value in decode_headers(scope["headers"])}
        self._method: str = scope["method"]
        self._path: str = scope["path"]
        self._query: str = scope["query_string"].decode("latin-1")
        match = _CREDENTIAL.search(self._headers.get("authorization", "") or self._signed_for_others(body))
        self._service = (match[2] or "") if match else ""
        self.access_key = match[1] if match else ""
        self.caller = caller(self.access_key) if match else ""
        self._request = request(self.access_key) if match else ""
        self.body = body

    def _signed_for_others(self, body: bytes) -> str:
        """Return the credential of a signed URL of S3's or of a form, as the header of a request has it; "" if none."""
        if not self._path.startswith(f"{SERVICES_PATH}/s3/"):
            return ""
        signed = dict(parse_qsl(self._query)).get("X-Amz-Credential", "") or self._in_form("x-amz-credential", body)
        return f"Credential={signed}"

    def _in_form(self, name: str, body: bytes) -> str:
        """Return a field of a form with a file, before the file; empty if there is none."""
        if self._method != "POST" or "multipart/form-data" not in self._headers.get("content-type", "").lower():
            return ""
        field = re.search(_FIELD % name.encode(), body[:MAX_FORM_BYTES])
        return field[1].decode(errors="replace") if field else ""

    @property
    def point(self) -> str | None:
        """The point of the fault plan that this call stands for; None if there is none."""
        if self._path.startswith(DYNAMODB_PATH):
            return "store"
        if self._path.startswith(INVOKE_PATH):
            # A synchronous invocation has no point.
            return "invoke" if self._headers.get("x-amz-invocation-type") == InvocationType.EVENT else None
        return "post" if self._method == "POST" and CONNECTIONS_PATH in self._path else None

    @property
    def subject(self) -> str:
        """The text that a fault's `match` is compared with."""
        target = self._headers.get("x-amz-target", "")
        return f"{self._path} {target} {self.caller} {self.body.decode(errors='replace')}"

    def requested(self, stages: Mapping[str, tuple[str, str]]) -> Call | None:
        """Return the call as IAM sees it; None if it is none of a service's.

        `stages` are the id of the API and the name of the stage as the template has it, by the path of the stage.
        """
        if self._path.startswith(DYNAMODB_PATH):
            return Call("dynamodb", self._operation(), self._parameters())
        if self._path.startswith(INVOKE_PATH):
            return self._invocation()
        if self._path.startswith(SERVICES_PATH):
            service, _, resource = self._path.removeprefix(SERVICES_PATH).strip("/").partition("/")
            if service == "s3":
                bucket, _, key = resource.partition("/")
                names = set(dict(parse_qsl(self._query, keep_blank_values=True)))
                call = s3_call(self._method, bucket, key or self._in_form("key", self.body), names)
                return with_more_objects(call, self._headers.get("x-amz-copy-source", ""), self.body)
            service = service or self._service
            parameters = self._parameters()
            return Call(service, self._operation() or str(parameters.get("Action", "")), parameters)
        api, stage = stages.get(self._path.partition(CONNECTIONS_PATH)[0], ("", ""))
        parameters = {"ApiId": api, "Stage": stage, "Method": self._method}
        return Call("execute-api", self._operation(), parameters) if api else None

    def _invocation(self) -> Call | None:
        try:
            asked = reference(self._path.removeprefix(INVOKE_PATH).rpartition("/")[0], self._query)
        except Refusal:
            return None
        qualifier = "" if asked.qualifier == LATEST else asked.qualifier
        return Call("lambda", "Invoke", {"FunctionName": asked.name, "Qualifier": qualifier})

    def _parameters(self) -> dict[str, Any]:
        """Return the parameters in the body: JSON, or a form as SDKs sent it to SQS before 2023."""
        if "x-www-form-urlencoded" in self._headers.get("content-type", ""):
            return dict(parse_qsl(self.body.decode(errors="replace")))
        return json_object(self.body) or {}

    def ids(self) -> dict[str, str]:
        """Return the fields that name this call in the trace, without its content."""
        if self._path.startswith(DYNAMODB_PATH):
            subject = {"operation": self._operation()}
        elif self._path.startswith(INVOKE_PATH):
            subject = {"function": reference(self._path.removeprefix(INVOKE_PATH).rpartition("/")[0]).name}
        else:
            subject = {"connection_id": self._path.rpartition("/")[2]}
        return {**subject, "caller": self.caller, **({"request_id": self._request} if self._request else {})}

    def record(self, answer: Response, trace: Trace) -> None:
        """Write the call and its answer to the trace."""
        found: dict[str, Any] = {"request_id": self._request} if self._request else {}
        if UNITS_HEADER in answer.headers:
            found["units"] = float(answer.headers[UNITS_HEADER])
        if self._path.startswith(INVOKE_PATH) and (invoked := answer.headers.get(REQUEST_ID_HEADER)):
            found["invoked"] = invoked
        trace.record(
            "call",
            service=self._service,
            operation=self._operation(),
            caller=self.caller,
            status=answer.status,
            milliseconds=round((time.perf_counter() - self._began) * 1000, 1),
            **found,
        )

    def _operation(self) -> str:
        if target := self._headers.get("x-amz-target", ""):
            return target.rpartition(".")[2]
        if self._path.startswith(INVOKE_PATH):
            return "Invoke"
        if self._path.startswith(f"{SERVICES_PATH}/s3"):
            return self._method
        return _CONNECTION_OPERATIONS.get(self._method, "") if CONNECTIONS_PATH in self._path else ""
