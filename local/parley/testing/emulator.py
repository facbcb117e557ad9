"""An emulator, as a test talks to it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode, urlsplit

from parley.testing.process import EmulatorProcess

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

SECONDS = 10.0
"""The time that a test waits for a frame or an event, if it says nothing else."""

_POLL_SECONDS = 0.01
_ANSWER_SECONDS = 960.0
"""The time that an answer may take: a function may run for 15 minutes."""


class FunctionFailed(Exception):
    """A function failed. `error` is what Lambda says about it."""

    def __init__(self, function: str, error: Any) -> None:
        super().__init__(f"{function} failed: {error}")
        self.error = error


class Refused(Exception):
    """The emulator refused a request. The text says why."""


class Parley:
    """An emulator. `variables` are those by which other programs find it, `websocket_urls` are its stages, by path."""

    def __init__(self, process: EmulatorProcess) -> None:
        self.process = process
        self.url = process.url
        addresses = self._ask("GET", "/_parley/addresses")
        self.variables: dict[str, str] = addresses["variables"]
        self.websocket_urls: dict[str, str] = addresses["webSockets"]
        self.tables: list[str] = addresses["tables"]
        self.functions: list[str] = addresses["functions"]
        self._connections: list[Connection] = []
        self._trace: list[dict[str, Any]] = []

    @classmethod
    def start(
        cls,
        template: str | Path | None = None,
        options: Sequence[str] = (),
        *,
        folder: str | Path = ".",
        variables: Mapping[str, str] | None = None,
    ) -> Self:
        """Start an emulator on a free port. Raises `NotStarted`.

        `options` are options of `parley up`. Without a template the emulator looks for one in `folder`.
        """
        chosen = ["--template", str(template)] if template is not None else []
        return cls(EmulatorProcess([*chosen, *options], Path(folder), variables))

    def __enter__(self) -> Self:
        """Return the emulator."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the emulator."""
        self.disconnect()
        self.process.stop()

    @property
    def websocket_url(self) -> str:
        """The URL of the first stage of the first WebSocket API."""
        return next(iter(self.websocket_urls.values()))

    def connect(
        self,
        path: str | None = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Connection:
        """Open a connection. It is closed at the end of the test.

        `path` is a stage, such as `/prod`; without it the first one. `options` are those of `websockets`' `connect`. A
        handshake that is refused raises its `InvalidStatus`.
        """
        from websockets.sync.client import connect

        url = self.websocket_url if path is None else f"ws://{urlsplit(self.url).netloc}/{path.lstrip('/')}"
        own = {"proxy": None, "compression": None, "max_queue": None, "open_timeout": _ANSWER_SECONDS, "legacy": True}
        given = own | options
        url += f"?{urlencode(query)}" if query else ""
        self._connections.append(Connection(connect(url, additional_headers=headers, **given), self))
        return self._connections[-1]

    def disconnect(self) -> None:
        """Close the connections that are open."""
        for connection in self._connections:
            connection.close()
        self._connections.clear()

    def connections(self) -> list[dict[str, Any]]:
        """Return the open connections, as the emulator lists them: id, stage, times, address."""
        listed: list[dict[str, Any]] = self._ask("GET", "/_parley/connections")
        return listed

    def events(self, kind: str | None = None, **fields: Any) -> list[dict[str, Any]]:
        """Return the trace events since the beginning of the test, oldest first: of this kind, with these fields."""
        # Only what is new: a test may ask again and again.
        after = self._trace[-1]["number"] if self._trace else 0
        self._trace += self._ask("GET", f"/_parley/trace?after={after}")
        return [
            each
            for each in self._trace
            if kind in (None, each["kind"]) and all(each.get(name) == value for name, value in fields.items())
        ]

    def wait_for(self, kind: str, timeout: float = SECONDS, **fields: Any) -> dict[str, Any]:
        """Return the first trace event of this kind with these fields. Raises `TimeoutError` if none comes in time."""
        deadline = time.monotonic() + timeout
        while not (found := self.events(kind, **fields)):
            if time.monotonic() >= deadline:
                seen = ", ".join(dict.fromkeys(each["kind"] for each in self.events())) or "none"
                sought = " ".join([kind, *(f"{name}={value!r}" for name, value in fields.items())])
                raise TimeoutError(f"No event {sought} within {timeout:g} s. There are events of these kinds: {seen}.")
            time.sleep(_POLL_SECONDS)
        return found[0]

    def fault(self, point: str, do: str, match: str | Sequence[str] = (), **more: Any) -> Fault:
        """Return a fault that applies inside of a `with`.

        docs/emulator/faults.md has the points and what can be done there.

        `more` are `nth`, `times`, `chance`, `seconds` and `after`.
        """
        return Fault(self, {"point": point, "do": do, "match": match, **more})

    def advance(self, seconds: float) -> None:
        """Let time pass at once, for the gateway and for retries. Functions have the machine's time."""
        self._ask("POST", "/_parley/clock", {"advance": seconds})

    def now(self) -> float:
        """Return the gateway's time, in seconds since the epoch."""
        return float(self._ask("GET", "/_parley/clock")["time"])

    def invoke(self, function: str, event: Any = None) -> Any:
        """Invoke a function, and return what it returns. Raises `FunctionFailed`."""
        path = f"/2015-03-31/functions/{quote(function, safe='')}/invocations"
        status, headers, body = self._send("POST", path, {} if event is None else event)
        if status != 200:
            raise Refused(f"{function} was not invoked ({status}): {body.decode(errors='replace')}")
        answer = json.loads(body or b"null")
        if "x-amz-function-error" in headers:
            raise FunctionFailed(function, answer)
        return answer

    def client(self, service: str, **options: Any) -> Any:
        """Return a boto3 client of a service of the emulator, such as `dynamodb` or `sqs`."""
        import boto3
        import botocore.session

        variable = f"AWS_ENDPOINT_URL_{service.upper().replace('SECRETSMANAGER', 'SECRETS_MANAGER')}"
        session = boto3.Session(
            # Without the developer's profile: it may not be there.
            botocore_session=botocore.session.Session({"profile": (None, None, None, None)}),
            region_name=self.variables["AWS_REGION"],
            aws_access_key_id=self.variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.variables["AWS_SECRET_ACCESS_KEY"],
        )
        endpoint = self.variables.get(variable, self.variables["AWS_ENDPOINT_URL"])
        return session.client(service, endpoint_url=endpoint, **options)  # type: ignore[call-overload]

    def reset(self, *, cold: bool = False) -> dict[str, Any]:
        """Return the emulator to its start. With `cold` the functions' environments are started anew, too."""
        self.disconnect()
        answer: dict[str, Any] = self._ask("POST", "/_parley/reset", {"environments": "end" if cold else "keep"})
        self._trace.clear()
        return answer

    def _ask(self, method: str, path: str, content: Any = None) -> Any:
        status, _, body = self._send(method, path, content)
        answer = json.loads(body)
        if status != 200:
            raise Refused(answer["message"])
        return answer

    def _send(self, method: str, path: str, content: Any) -> tuple[int, dict[str, str], bytes]:
        # Not urllib: it would ask the proxy of the environment.
        address = urlsplit(self.url)
        connection = HTTPConnection(str(address.hostname), address.port, timeout=_ANSWER_SECONDS)
        try:
            connection.request(method, path, None if content is None else json.dumps(content).encode())
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()


class Fault:
    """A fault that applies inside of a `with`, and the number of times that it was applied."""

    def __init__(self, emulator: Parley, content: Mapping[str, Any]) -> None:
        self._emulator = emulator
        self._content = content
        self._id = 0
        self._hits = 0

    def __enter__(self) -> Self:
        """Add the fault to the plan. Raises `Refused` if it cannot be."""
        plan = self._emulator._ask("POST", "/_parley/faults", {"faults": [self._content]})
        self._id = plan["faults"][-1]["id"]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Remove the fault from the plan."""
        # A reset in between has removed it. And an emulator that has died must not hide why the test fails.
        with suppress(Refused, OSError, HTTPException):
            self._hits = self.hits
            self._emulator._ask("DELETE", f"/_parley/faults/{self._id}")

    @property
    def hits(self) -> int:
        """The number of times that the fault was applied."""
        listed = self._emulator._ask("GET", "/_parley/faults")["faults"]
        return next((int(each["hits"]) for each in listed if each["id"] == self._id), self._hits)


class Connection:
    """An open connection. `socket` is that of `websockets`, for everything else."""

    def __init__(self, socket: ClientConnection, emulator: Parley) -> None:
        self.socket = socket
        self._emulator = emulator

    def __enter__(self) -> Self:
        """Return the connection."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the connection."""
        self.close()

    @property
    def connection_id(self) -> str:
        """The id of the connection, as functions see it."""
        port = self.socket.socket.getsockname()[1]
        found = [each["connectionId"] for each in self._emulator.connections() if each["sourcePort"] == port]
        if not found:
            raise Refused("This connection is not open.")
        return str(found[0])

    def send(self, message: Any) -> None:
        """Send a text; anything else is sent as JSON."""
        self.socket.send(message if isinstance(message, str | bytes) else json.dumps(message))

    def receive(self, timeout: float = SECONDS) -> str:
        """Return the next frame. Raises `TimeoutError`, and `ConnectionClosed` of `websockets`."""
        return str(self.socket.recv(timeout))

    def receive_json(self, timeout: float = SECONDS) -> Any:
        """Return the next frame, which must be JSON."""
        return json.loads(self.receive(timeout))

    def closed(self, timeout: float = SECONDS) -> int:
        """Wait until the gateway closes the connection, and return the code. Frames before the end are dropped.

        Raises `TimeoutError` if no frame and no end comes in time.
        """
        from websockets.exceptions import ConnectionClosed

        with suppress(ConnectionClosed):
            while True:
                self.socket.recv(timeout)
        return self.socket.close_code or 1006

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection. Does nothing if it is closed."""
        self.socket.close(code, reason)
