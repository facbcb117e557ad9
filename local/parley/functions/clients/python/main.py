"""The Runtime API client of functions in a Python that the emulator does not fork. It needs the standard library only.

It follows awslambdaric, AWS's own client, in what a handler can see: the context, the errors, the log. It runs in each
Python from 3.9 on, on each system, and is started as a program: the emulator imports nothing of it. Its arguments are
folders with packages, as the runtime on AWS brings boto3.
"""

from __future__ import annotations

import decimal
import http.client
import importlib
import importlib.util
import itertools
import json
import logging
import os
import sys
import time
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

_NAMES = Path(__file__).parents[2] / "processes" / "names.py"
_ROOT = "/2018-06-01/runtime"
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_FIELDS = {*vars(logging.makeLogRecord({})), "aws_request_id"}
"""The fields that each record of a log has."""

_CLIENT = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")


class StartError(Exception):
    """The handler cannot be loaded. `kind` is the name of the error as AWS has it, `stack` where it is."""

    def __init__(self, kind: str, text: str, stack: list[str] | None = None) -> None:
        super().__init__(text)
        self.kind = kind
        self.stack = stack or []


class RuntimeApi:
    """The connection to the Runtime API, at an address of host, port, and the path before all others."""

    def __init__(self, address: str) -> None:
        place, slash, path = address.partition("/")
        self._connection = http.client.HTTPConnection(place)
        self._root = slash + path + _ROOT

    def next(self) -> tuple[http.client.HTTPMessage, bytes]:
        """Wait for the next event. Return its headers and its body."""
        return self._call("GET", "/invocation/next")

    def respond(self, request_id: str, body: bytes) -> None:
        """Send the response of the handler."""
        self._call("POST", f"/invocation/{request_id}/response", body)

    def fail(self, request_id: str | None, error: dict[str, Any]) -> None:
        """Send an error of the handler; without a request id, the one for which the function does not start."""
        path = f"/invocation/{request_id}/error" if request_id else "/init/error"
        self._call("POST", path, json.dumps(error).encode())

    def _call(self, method: str, path: str, body: bytes | None = None) -> tuple[http.client.HTTPMessage, bytes]:
        self._connection.request(method, self._root + path, body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        return answer.headers, answer.read()


class Context:
    """The context that a handler gets."""

    def __init__(self, headers: http.client.HTTPMessage) -> None:
        environ = os.environ
        self.aws_request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        self.log_group_name = environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = environ.get("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = environ.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = headers["Lambda-Runtime-Invoked-Function-Arn"]
        self.tenant_id = headers["Lambda-Runtime-Aws-Tenant-Id"]
        self.client_context = _client_context(headers["Lambda-Runtime-Client-Context"])
        self.identity = types.SimpleNamespace(cognito_identity_id=None, cognito_identity_pool_id=None)
        self._epoch_deadline_time_in_ms = int(headers["Lambda-Runtime-Deadline-Ms"])

    def get_remaining_time_in_millis(self) -> int:
        """Return the rest of the time-out; never less than 0."""
        return max(self._epoch_deadline_time_in_ms - int(time.time() * 1000), 0)


def _client_context(sent: str | None) -> types.SimpleNamespace | None:
    if sent is None:
        return None
    found = json.loads(sent)
    client = found.get("client")
    return types.SimpleNamespace(
        custom=found.get("custom"),
        env=found.get("env"),
        client=types.SimpleNamespace(**{name: client.get(name) for name in _CLIENT}) if client else None,
    )


class LogHandler(logging.Handler):
    """The handler of the root logger: it prints, with the id of the request that runs."""

    request_id: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        record.aws_request_id = self.request_id
        sys.stdout.write(self.format(record))


class JsonFormatter(logging.Formatter):
    """Formatter of records as objects, one on each line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as JSON."""
        is_dict = isinstance(record.msg, dict) and not record.args
        fields: dict[str, Any] = {
            "timestamp": self.formatTime(record, _TIME),
            "level": record.levelname,
            "message": record.msg if is_dict else record.getMessage(),
            "logger": record.name,
            "requestId": getattr(record, "aws_request_id", None),
        }
        if record.exc_info and record.exc_info[0]:
            fields["errorType"] = record.exc_info[0].__name__
            fields["errorMessage"] = str(record.exc_info[1])
            fields["stackTrace"] = traceback.format_tb(record.exc_info[2])
            fields["location"] = f"{record.pathname}:{record.funcName}:{record.lineno}"
        # What `extra` has added.
        fields.update((name, value) for name, value in vars(record).items() if name not in _FIELDS | fields.keys())
        shown = {name: value for name, value in fields.items() if value is not None}
        return json.dumps(shown, ensure_ascii=False, default=str) + "\n"


def set_up_log() -> LogHandler:
    """Let loggers print as on AWS."""
    root, handler = logging.getLogger(), LogHandler()
    if os.environ.get("AWS_LAMBDA_LOG_FORMAT") == "JSON":
        formatter: logging.Formatter = JsonFormatter()
        root.setLevel(os.environ.get("AWS_LAMBDA_LOG_LEVEL") or "INFO")
    else:
        form = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n"
        formatter = logging.Formatter(form, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    root.addHandler(handler)
    return handler


def load(name: str) -> Callable[[Any, Context], Any]:
    """Return the handler of this name, as `folder/module.function`. Raises `StartError`."""
    if "." not in name:
        raise StartError(
            "Runtime.MalformedHandlerName", f"Bad handler '{name}': not enough values to unpack (expected 2, got 1)"
        )
    module_name, _, attribute = name.rpartition(".")
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise StartError("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}") from error
    except SyntaxError as error:
        place = [f'  File "{error.filename}" Line {error.lineno}\n    {error.text}']
        text = f"Syntax error in module '{module_name}': {error}"
        raise StartError("Runtime.UserCodeSyntaxError", text, place) from error
    if not hasattr(module, attribute):
        raise StartError("Runtime.HandlerNotFound", f"Handler '{attribute}' missing on module '{module_name}'")
    handler: Callable[[Any, Context], Any] = getattr(module, attribute)
    return handler


def described(error: BaseException, request_id: str) -> dict[str, Any]:
    """Return an error as the Runtime API takes it, without the frames of this file before the function's."""
    if isinstance(error, StartError):
        kind, stack = error.kind, error.stack
    else:
        found = [
            (each.filename, each.lineno or 0, each.name, each.line)
            for each in traceback.extract_tb(error.__traceback__)
        ]
        kind, stack = (
            type(error).__name__,
            traceback.format_list(itertools.dropwhile(lambda each: each[0] == __file__, found)),
        )
    return {"errorMessage": str(error), "errorType": kind, "requestId": request_id, "stackTrace": stack}


def show(error: dict[str, Any]) -> None:
    """Print an error as one event of the log, with carriage returns between its lines."""
    if os.environ.get("AWS_LAMBDA_LOG_FORMAT") == "JSON":
        moment = time.strftime(_TIME, time.gmtime())
        sys.stdout.write(json.dumps({"timestamp": moment, "level": "ERROR", **error}) + "\n")
        return
    lines = [f"[ERROR] {error['errorType']}: {error['errorMessage']}"]
    if error["stackTrace"]:
        lines += ["Traceback (most recent call last):", *error["stackTrace"]]
    text = "\n".join(line.rstrip("\n") for line in lines)
    sys.stdout.write(text.replace("\n", "\r") + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def handle(api: RuntimeApi, handler: Callable[[Any, Context], Any], log: LogHandler) -> None:
    """Wait for an event, and handle it."""
    headers, body = api.next()
    request_id = log.request_id = headers["Lambda-Runtime-Aws-Request-Id"]
    os.environ["_X_AMZN_TRACE_ID"] = headers["Lambda-Runtime-Trace-Id"] or ""
    try:
        result = handler(json.loads(body), Context(headers))
    except Exception as error:
        return _refuse(api, described(error, request_id))
    try:
        response = json.dumps(result, default=_plain).encode()
    except Exception as error:
        text = f"Unable to marshal response: {error}"
        return _refuse(
            api,
            {
                **described(error, request_id),
                "errorType": "Runtime.MarshalError",
                "errorMessage": text,
                "stackTrace": [],
            },
        )
    api.respond(request_id, response)
    return None


def _refuse(api: RuntimeApi, error: dict[str, Any]) -> None:
    show(error)
    api.fail(error["requestId"], error)


def _lead_hosts_here() -> None:
    """Change the resolution of names, as the emulator's module for it says."""
    specification = importlib.util.spec_from_file_location("parley_names", _NAMES)
    names: Any = importlib.util.module_from_spec(specification)  # type: ignore[arg-type]  # the file is there
    names.__spec__.loader.exec_module(names)
    names.install(os.environ)


def main(packages: list[str]) -> None:
    """Run the function until the process is killed or exits."""
    _lead_hosts_here()
    sys.path[:1] = [os.environ["LAMBDA_TASK_ROOT"]]
    sys.path += packages
    sys.argv = ["bootstrap"]
    sys.stdout.reconfigure(line_buffering=True, write_through=True)  # type: ignore[union-attr]
    api, log = RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"]), set_up_log()
    try:
        handler = load(os.environ["_HANDLER"])
    except Exception as error:
        failure = described(error, "")
        show(failure)
        api.fail(None, failure)
        sys.exit(1)
    while True:
        handle(api, handler, log)


if __name__ == "__main__":
    main(sys.argv[1:])
