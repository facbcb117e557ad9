"""Calls of AWS's services, as the trace has them: what was called by whom, its answer, the units that it consumed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from parley.asgi import Response, Scope
from parley.emulator.variables import INVOKE_PATH
from parley.gateway.events import decode_headers
from parley.trace import Trace

UNITS_HEADER = "x-parley-units"
"""A header of DynamoDB's answers: the capacity units that the request consumed."""

_CREDENTIAL = re.compile(r"Credential=([^/]+)/[^/]+/[^/]+/([^/]+)/")


class Call:
    """One call, timed from its making. `caller` gives the name of the function that signs with an access key."""

    def __init__(self, scope: Scope, caller: Callable[[str], str]) -> None:
        headers = {name.lower(): value for name, value in decode_headers(scope["headers"])}
        match = _CREDENTIAL.search(headers.get("authorization", ""))
        self._began = time.perf_counter()
        self._service = match[2] if match else ""
        self._caller = caller(match[1]) if match else ""
        self._operation = _operation(scope, headers)

    def answered(self, answer: Response, trace: Trace) -> None:
        """Tell the trace."""
        units: dict[str, Any] = {}
        if UNITS_HEADER in answer.headers:
            units = {"units": float(answer.headers[UNITS_HEADER])}
        trace.record(
            "call",
            service=self._service,
            operation=self._operation,
            caller=self._caller,
            status=answer.status,
            milliseconds=round((time.perf_counter() - self._began) * 1000, 1),
            **units,
        )


def _operation(scope: Scope, headers: dict[str, str]) -> str:
    if target := headers.get("x-amz-target", ""):
        return target.rpartition(".")[2]
    if scope["path"].startswith(INVOKE_PATH):
        return "Invoke"
    if "/@connections/" not in scope["path"]:
        return ""
    verbs = {"POST": "PostToConnection", "GET": "GetConnection", "DELETE": "DeleteConnection"}
    return verbs.get(scope["method"], "")
