"""The emulator: one server, on one port, that stands in for API Gateway, Lambda and DynamoDB."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import uvicorn

from local import injector
from local.asgi import ClientGone, Receive, Response, Scope, Send, read_body
from local.cut import CuttableProtocol, cuttable
from local.dynamodb import Embedded, Forwarded, furnish
from local.environment import DYNAMODB_PATH, INVOKE_PATH, MODEL_PATH, Surroundings
from local.errors import StartError
from local.functions.asynchronous import ONCE, Delivery
from local.functions.invoke import Functions
from local.gateway.connections import Connections
from local.gateway.events import decoded
from local.gateway.http import HttpGateway
from local.gateway.quotas import FRAME_BYTES, MESSAGE_BYTES
from local.gateway.websocket import WebSocketGateway
from local.injector import FAULTS_PATH, Injector
from local.llm import BuiltInModel
from local.options import EMBEDDED, Options
from local.sabotage import Sabotage
from local.template.model import Template
from local.trace import Trace

WEBSOCKET_PATH = "/ws/chat"
_INVOCATIONS = "/invocations"
_MODEL_REPORT_PATH = "/_parley/model"


class Emulator:
    """Everything that a template needs around its functions, until it is told to stop."""

    def __init__(self, options: Options, template: Template, given: Mapping[str, str], trace: Trace) -> None:
        api = template.websocket_apis[0]
        self.stage = options.stage or api.stages[0].name
        surroundings = Surroundings(options, given)
        self.template = surroundings.furnish(template, self.stage)
        self.options = options
        self.built_in_model = surroundings.built_in_model
        self._credentials = surroundings.credentials()
        self._injector = injector.prepare(options, given, trace)
        self._functions = Functions(
            self.template.functions,
            trace,
            mode=options.functions,
            environments=options.environments,
            retry_delay=options.retry_delay,
            injector=self._injector,
        )
        self._sabotage = Sabotage(self._injector, self._functions) if self._injector else None
        self._connections = Connections(trace, options.post_latency / 1000)
        self._websocket = WebSocketGateway(
            api,
            replace(api.stages[0], name=self.stage),
            (self._sabotage or self._functions).invoke,
            self._connections,
            trace,
            options.limits,
        )
        self._http = [HttpGateway(http, self._functions, trace) for http in template.http_apis]
        self._database = _database(options)
        self._model = BuiltInModel(
            options.tokens_per_second, partial(self._injector.at, "model") if self._injector else None
        )
        self._ready = asyncio.Event()

    async def run(self, on_ready: Callable[[], None], on_stop: Callable[[], None]) -> None:
        """Serve until SIGINT or SIGTERM; then end every child at once. Raises `StartError`."""
        listener = _listen(self.options)
        server = _Server(_configuration(self))
        stopping = _on_signals(asyncio.Event())
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await asyncio.gather(self._start_functions(), self._furnish_database())
            self._ready.set()
            if self._injector:
                self._injector.arm()
            on_ready()
            await stopping.wait()
        finally:
            on_stop()
            await self._functions.stop()
            server.should_exit = server.force_exit = True
            await serving

    async def _start_functions(self) -> None:
        await self._functions.start()
        await self._functions.warm()

    async def _furnish_database(self) -> None:
        embedded = self.options.dynamodb == EMBEDDED
        endpoint = f"{self.options.url}{DYNAMODB_PATH}" if embedded else self.options.dynamodb
        await asyncio.to_thread(furnish, endpoint, self.template, self.options.users, self._credentials)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a handshake."""
        with contextlib.suppress(ClientGone):
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request or a handshake to the part that serves its path."""
        path: str = scope["path"]
        if self._database and path.startswith(DYNAMODB_PATH):
            return await self._serve_service(scope, receive, send)
        await self._ready.wait()
        if scope["type"] == "websocket":
            return await self._serve_websocket(scope, receive, send)
        if path.startswith(INVOKE_PATH) or "/@connections/" in path:
            return await self._serve_service(scope, receive, send)
        if self._injector and path in (FAULTS_PATH, _MODEL_REPORT_PATH):
            return await self._serve_faults(self._injector, scope, receive, send)
        if self.built_in_model and path.startswith(f"{MODEL_PATH}/"):
            return await self._model(scope, receive, send)
        if self._http:
            return await self._http[0](scope, receive, send)
        return await Response.of_json(404, {"message": "Not Found"}).send(send)

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in (WEBSOCKET_PATH, f"/{self.stage}"):
            return await self._websocket(scope, receive, send)
        await receive()
        return await Response.of_json(403, {"message": "Forbidden"}).refuse(send)

    async def _serve_service(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call of DynamoDB's, Lambda's or the management API."""
        body = await read_body(receive)
        if self._sabotage:
            answer = await self._sabotage.call(scope, body, partial(self._service, scope, body))
        else:
            answer = await self._service(scope, body)
        await answer.send(send)

    async def _service(self, scope: Scope, body: bytes, delivery: Delivery = ONCE) -> Response:
        path, headers = scope["path"], dict(decoded(scope["headers"]))
        if self._database and path.startswith(DYNAMODB_PATH):
            return await self._database.answer(headers, body)
        if path.startswith(INVOKE_PATH):
            name = path.removeprefix(INVOKE_PATH).removesuffix(_INVOCATIONS)
            return Response(*await self._functions.http_invoke(name, headers, body, delivery))
        stage, _, connection_id = path.partition("/@connections/")
        if stage != f"/{self.stage}":
            return Response.of_json(403, {"message": "Forbidden"}, {"x-amzn-ErrorType": "ForbiddenException"})
        return await self._connections.answer(scope["method"], connection_id, body)

    async def _serve_faults(self, faults: Injector, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == _MODEL_REPORT_PATH:
            return await Response.of_json(200, self._model.report).send(send)
        return await faults.answer(scope["method"], await read_body(receive)).send(send)


def _database(options: Options) -> Embedded | Forwarded | None:
    """Return what answers DynamoDB's requests here; None where functions reach theirs by themselves."""
    if options.dynamodb == EMBEDDED:
        return Embedded()
    return Forwarded(options.dynamodb) if options.faults else None


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the emulator: uvicorn would wait for requests whose functions still run."""
        yield


_EXPECTED = ("Invalid UTF-8 sequence received from client.", "ASGI callable returned without completing response.")
"""What uvicorn reports as errors: a client's bad frame, and the built-in model that breaks off when told to."""


def _configuration(application: Emulator) -> uvicorn.Config:
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.getMessage() not in _EXPECTED)
    return uvicorn.Config(
        cuttable(application) if application.options.faults else application,
        http=CuttableProtocol if application.options.faults else "httptools",
        ws="websockets-sansio",
        # The library takes a limit for messages and one for frames; uvicorn passes on what it is given.
        ws_max_size=(MESSAGE_BYTES, FRAME_BYTES),  # type: ignore[arg-type]
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
    )


def _listen(options: Options) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    # With the protocol named, asyncio switches Nagle's algorithm off; it would hold up every small answer by 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((options.host, options.port))
    except OSError as error:
        listener.close()
        raise StartError(f"Cannot listen on {options.host}:{options.port}: {_cause_and_cure(error)}") from None
    listener.listen(2048)
    listener.setblocking(False)
    return listener


def _cause_and_cure(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            "something else listens there. End that, or choose another port: "
            "`make run PORT=8001`, `parley up --port 8001`."
        )
    return f"{error.strerror or error}. Choose an address of this machine with --host, and a port that you may use."


def _on_signals(event: asyncio.Event) -> asyncio.Event:
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, event.set)
    return event
