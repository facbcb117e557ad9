"""The emulator: one server, on one port, that stands in for API Gateway, Lambda and DynamoDB."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from random import Random

import uvicorn

from parley.asgi import ClientGone, Receive, Response, Scope, Send, read_body
from parley.aws_services import SERVICES_PATH, Services
from parley.clock import Clock
from parley.dynamodb.embedded import Embedded, Forwarded, furnish
from parley.emulator.abort import CuttableProtocol, cuttable
from parley.emulator.call_log import Call
from parley.emulator.certificate import certificate
from parley.emulator.fault_interceptor import Sabotage
from parley.emulator.listener import Acceptor, listen
from parley.emulator.options import EMBEDDED, Options
from parley.emulator.paths import mounted, mounted_http
from parley.emulator.variables import DYNAMODB_PATH, INVOKE_PATH, MODEL_PATH, Surroundings
from parley.faults import injector
from parley.faults.injector import FAULTS_PATH
from parley.functions.asynchronous import ONCE, Delivery
from parley.functions.event_sources import Sources
from parley.functions.invocation import Outcome
from parley.functions.processes.launch import Parent
from parley.functions.service import Functions
from parley.gateway.events import Handshake, decode_headers
from parley.gateway.http.stage import HttpGateway
from parley.gateway.integrations.caller import IntegrationCaller
from parley.gateway.quotas import MAX_FRAME_BYTES, MAX_MESSAGE_BYTES, AccountRateLimiter
from parley.gateway.signature import SignedRequest, is_signed, is_valid
from parley.gateway.websocket.context import GatewayContext
from parley.gateway.websocket.management_api import ManagementApi
from parley.gateway.websocket.protocol import GatewayProtocol, HttpProtocol
from parley.gateway.websocket.stage import WebSocketGateway
from parley.host_check import is_this_machine
from parley.llm.server import BuiltInModel
from parley.template.model import Template
from parley.trace import Trace

_INVOCATIONS = "/invocations"
_MODEL_REPORT_PATH = "/_parley/model"
_TRACE_PATH = "/_parley/trace"


class Emulator:
    """Everything that a template needs around its functions, until it is told to stop."""

    def __init__(
        self,
        options: Options,
        template: Template,
        given: Mapping[str, str],
        trace: Trace,
        parent: Parent | None = None,
    ) -> None:
        clock = Clock()
        self.certificate = certificate(options.host, given)
        surroundings = Surroundings(options, given, self.certificate)
        self.template = surroundings.furnish(template)
        self.options = options
        self.built_in_model = surroundings.built_in_model
        self._trace = trace
        self._credentials = surroundings.credentials()
        self._secret_of = surroundings.secret
        self._injector = injector.prepare(options, given, trace)
        self._services = Services(options.url, trace)
        self._sending: set[asyncio.Task[None]] = set()
        self._functions = Functions(
            self.template.functions,
            trace,
            mode=options.functions,
            environments=options.environments,
            retry_delay=options.retry_delay,
            duplicates=options.duplicates,
            clock=clock,
            enqueue=self._enqueue,
            injector=self._injector,
            parent=parent,
        )
        self._sabotage = Sabotage(self._injector, self._functions) if self._injector else None
        self._sources = Sources(self.template.event_sources, self._services, self._functions_invoke, clock)
        self._service = self._api_gateway(clock)
        reordering = None if options.reorder is None else Random(options.reorder)  # noqa: S311 - not a secret
        self.mounts = {
            path: WebSocketGateway(api, stage, self._service, reordering)
            for path, (api, stage) in mounted(self.template.websocket_apis).items()
        }
        self._http = {
            path: HttpGateway(api, self._functions_invoke, trace, clock, path)
            for path, api in mounted_http(self.template.http_apis).items()
        }
        self.http_paths = [path or "/" for path in self._http]
        self._database = _database(options)
        self._model = BuiltInModel(options.tokens_per_second, self._injector.at_model if self._injector else None)
        self._ready = asyncio.Event()

    def _api_gateway(self, clock: Clock) -> GatewayContext:
        options, trace = self.options, self._trace
        account = AccountRateLimiter(options.quotas, clock.time)
        stages = {stage.name for api in self.template.websocket_apis for stage in api.stages}
        assumptions = options.assumptions
        waits = assumptions.post_in_connect == "hangs"
        return GatewayContext(
            integrations=IntegrationCaller(self._invoke, trace, clock, options.limits),
            management_api=ManagementApi(stages, account, trace, clock, options.post_latency / 1000, waits=waits),
            account=account,
            trace=trace,
            clock=clock,
            is_signed=self._is_handshake_signed,
            limits=options.limits,
            assumptions=assumptions,
        )

    async def _invoke(self, name: str, payload: bytes, qualifier: str) -> Outcome:
        return await (self._sabotage or self._functions).invoke(name, payload, qualifier)

    def _enqueue(self, arn: str, body: str, attributes: Mapping[str, str]) -> None:
        task = asyncio.ensure_future(self._services.send(arn, body, attributes))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _functions_invoke(self, name: str, payload: bytes, qualifier: str) -> Outcome:
        return await self._functions.invoke(name, payload, qualifier)

    def _is_handshake_signed(self, handshake: Handshake) -> bool:
        return self._is_signed(SignedRequest("GET", f"/{handshake.stage}", handshake.query, handshake.headers))

    def _is_signed(self, request: SignedRequest) -> bool:
        return is_valid(request, self._secret_of) if self.options.iam else is_signed(request)

    async def run(self, on_ready: Callable[[], None], on_stop: Callable[[], None]) -> None:
        """Serve until SIGINT or SIGTERM; then end every child at once. Raises `StartError`."""
        server = _Server(self)
        stopping = _on_signals(asyncio.Event())
        serving = asyncio.create_task(server.serve(sockets=[]))
        try:
            await asyncio.gather(
                self._start_functions(),
                self._furnish_database(),
                self._services.furnish(self.template.queues, self.template.parameters),
            )
            self._ready.set()
            self._sources.start()
            if self._injector:
                self._injector.arm()
            on_ready()
            await stopping.wait()
        finally:
            on_stop()
            self._sources.stop()
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
        if path.startswith(("/_parley/", INVOKE_PATH)) and not self._is_meant(scope):
            return await Response.of_json(403, {"message": "This host is not this machine"}).send(send)
        if self._database and path.startswith(DYNAMODB_PATH):
            return await self._serve_call(scope, receive, send)
        await self._ready.wait()
        if scope["type"] == "websocket":
            return await self._serve_websocket(scope, receive, send)
        if path.startswith((INVOKE_PATH, SERVICES_PATH)) or "/@connections/" in path:
            return await self._serve_call(scope, receive, send)
        if path.startswith("/_parley/"):
            return await self._serve_itself(scope, receive, send)
        if self.built_in_model and path.startswith(f"{MODEL_PATH}/"):
            return await self._model(scope, receive, send)
        first = f"/{path.split('/')[1]}"
        if gateway := self._http.get(first) or self._http.get(""):
            return await gateway(scope, receive, send)
        return await Response.of_json(404, {"message": "Not Found"}).send(send)

    def _is_meant(self, scope: Scope) -> bool:
        host = next((value for name, value in scope["headers"] if name.lower() == b"host"), b"")
        return scope["type"] == "http" and is_this_machine(host.decode("latin-1"), self.options.host)

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        gateway = self.mounts.get(scope["path"].rstrip("/"))
        if gateway is not None:
            return await gateway(scope, receive, send)
        await receive()
        there = ", ".join(self.mounts)
        self._trace.record("refuse", path=scope["path"], status=403, why=f"no stage has this path; there are {there}")
        return await Response.of_json(403, {"message": "Forbidden"}).refuse(send)

    async def _serve_call(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call of one of AWS's services."""
        body = await read_body(receive)
        call = Call(scope, self._functions.caller)
        if self._sabotage:
            answer = await self._sabotage.call(scope, body, partial(self._answer, scope, body))
        else:
            answer = await self._answer(scope, body)
        call.answered(answer, self._trace)
        await answer.send(send)

    async def _answer(self, scope: Scope, body: bytes, delivery: Delivery = ONCE) -> Response:
        path, headers = scope["path"], dict(decode_headers(scope["headers"]))
        if self._database and path.startswith(DYNAMODB_PATH):
            return await self._database.answer(headers, body)
        if path.startswith(INVOKE_PATH):
            name = path.removeprefix(INVOKE_PATH).removesuffix(_INVOCATIONS)
            query = scope["query_string"].decode("latin-1")
            return Response(*await self._functions.http_invoke(name, headers, body, delivery, query))
        if path.startswith(SERVICES_PATH):
            return await self._services.answer(path, scope["method"], headers, body)
        return await self._answer_connections(scope, body)

    async def _answer_connections(self, scope: Scope, body: bytes) -> Response:
        before, _, connection_id = scope["path"].partition("/@connections/")
        query = scope["query_string"].decode("latin-1")
        path = scope["raw_path"].decode("latin-1")
        signed = self._is_signed(SignedRequest(scope["method"], path, query, decode_headers(scope["headers"]), body))
        stage = before.rpartition("/")[2]
        return await self._service.management_api.answer(scope["method"], stage, connection_id, body, signed)

    async def _serve_itself(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for the emulator's own sake."""
        path = scope["path"]
        if path == _TRACE_PATH:
            return await self._trace.answer(scope["query_string"]).send(send)
        if self._injector and path == _MODEL_REPORT_PATH:
            return await Response.of_json(200, self._model.report).send(send)
        if self._injector and path == FAULTS_PATH:
            return await self._injector.answer(scope["method"], await read_body(receive)).send(send)
        return await Response.of_json(404, {"message": "Not Found"}).send(send)


def _database(options: Options) -> Embedded | Forwarded | None:
    """Return what answers DynamoDB's requests here; None where functions reach theirs by themselves."""
    if options.dynamodb == EMBEDDED:
        return Embedded()
    return Forwarded(options.dynamodb) if options.faults else None


class _Server(uvicorn.Server):
    """uvicorn, on a port that takes TLS too."""

    def __init__(self, emulator: Emulator) -> None:
        super().__init__(_configuration(emulator))
        self._listener = listen(emulator.options.host, emulator.options.port)
        self._certificate = emulator.certificate
        self._acceptor: Acceptor | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the emulator: uvicorn would wait for requests whose functions still run."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept connections."""
        await super().startup(sockets=[])
        self._acceptor = Acceptor(self._listener, self._protocol, self._certificate.context)
        self._acceptor.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, and end what there is."""
        if self._acceptor is not None:
            self._acceptor.stop()
        await super().shutdown()

    def _protocol(self) -> asyncio.Protocol:
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol


_EXPECTED = ("Invalid UTF-8 sequence received from client.", "ASGI callable returned without completing response.")
"""What uvicorn reports as errors: a client's bad frame, and the built-in model that breaks off when told to."""


def _configuration(application: Emulator) -> uvicorn.Config:
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.getMessage() not in _EXPECTED)
    return uvicorn.Config(
        cuttable(application) if application.options.faults else application,
        http=CuttableProtocol if application.options.faults else HttpProtocol,
        ws=GatewayProtocol,
        # The library takes a limit for messages and one for frames; uvicorn passes on what it is given.
        ws_max_size=(MAX_MESSAGE_BYTES, MAX_FRAME_BYTES),  # type: ignore[arg-type]
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
    )


def _on_signals(event: asyncio.Event) -> asyncio.Event:
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, event.set)
    return event
