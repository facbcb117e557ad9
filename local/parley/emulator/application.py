"""The emulator: API Gateway, Lambda and DynamoDB behind one port, and the built-in model beside them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from socket import socket
from typing import Any

from parley.asgi import BodyTooLarge, ClientGone, Receive, Response, Scope, Send, limited, read_body
from parley.aws_services import AwsServices
from parley.clock import Clock, MovableClock
from parley.dynamodb.dynoxide.process import Data
from parley.dynamodb.streams import ask
from parley.emulator.access import access_control
from parley.emulator.call_log import ServiceCall
from parley.emulator.console_api import ConsoleApi
from parley.emulator.cost import CostSoFar
from parley.emulator.database import database
from parley.emulator.event_sources import EventSources
from parley.emulator.fault_interceptor import FaultInterceptor
from parley.emulator.fault_plan import load_injector
from parley.emulator.first import first_needed
from parley.emulator.hosts import prefixes, with_own_path
from parley.emulator.options import Options
from parley.emulator.own_api import OwnApi
from parley.emulator.pages import Pages
from parley.emulator.paths import (
    ADDRESSES_PATH,
    CONNECTIONS_PATH,
    CONNECTIONS_REPORT_PATH,
    DYNAMODB_PATH,
    EVENTS,
    IAM_PATH,
    INVOKE_PATH,
    INVOKE_SUFFIX,
    MODEL_PATH,
    MODEL_REPORT_PATH,
    OWN_PATH,
    SERVICES_PATH,
    http_endpoints,
    mounted,
    mounted_http,
    stages_by_path,
)
from parley.emulator.provisioning import Provisioning
from parley.emulator.recording import record_payloads, secrets_of
from parley.emulator.request_check import RequestCheck
from parley.emulator.reset_api import Parts, ResetApi
from parley.emulator.s3_endpoint import S3Endpoint
from parley.emulator.server import Server, stop_on_signals
from parley.emulator.state.folder import DataFolder
from parley.emulator.state.kept import State
from parley.emulator.trace_api import TraceApi
from parley.emulator.variables import FunctionVariables, allowed_origins
from parley.errors import StartError
from parley.functions.asynchronous import ONCE, Delivery
from parley.functions.invocation import Outcome
from parley.functions.processes.launch import ZygoteProcess
from parley.functions.runner import runner_for
from parley.functions.service import Functions
from parley.gateway.events import Handshake, decode_headers
from parley.gateway.http.cors import SharedWithPages
from parley.gateway.http.stage import HttpGateway
from parley.gateway.integrations.caller import IntegrationCaller
from parley.gateway.quotas import AccountRateLimiter
from parley.gateway.signature import SignedRequest, access_key, is_signed, is_valid
from parley.gateway.websocket.context import GatewayContext
from parley.gateway.websocket.management_api import ManagementApi
from parley.gateway.websocket.stage import WebSocketGateway
from parley.host_check import is_this_machine, is_welcome_page
from parley.iam.identity import caller_identity
from parley.llm.server import BuiltInModel, ModelFailure
from parley.template.model import Template
from parley.trace import Trace

MAX_BODY_BYTES = 32 * 1024 * 1024
"""The size of the largest request: twice the 16 MB of DynamoDB's BatchWriteItem, which JSON makes larger."""

_TOO_LARGE = Response.of_json(413, {"message": "Request Entity Too Large"}, {"connection": "close"})


class Emulator:
    """A template's APIs, functions, tables and queues, and the ASGI application that serves them.

    `overrides` are the developer's variables. `zygote` is the process that environments are forked from, if it runs
    already, and `data` the folder for what is kept. Raises `StartError` for a plan or a folder that cannot be used.
    """

    def __init__(
        self,
        options: Options,
        template: Template,
        overrides: Mapping[str, str],
        trace: Trace,
        zygote: ZygoteProcess | None = None,
        data: DataFolder | None = None,
    ) -> None:
        # Functions run in real time, whatever the clock of the gateway says.
        self._real_clock = Clock()
        self._clock = MovableClock(self._real_clock) if options.test_api else self._real_clock
        self._trace = trace
        self._state = State.on(data)
        self._variables = FunctionVariables.on_this_machine(options, overrides)
        self.options = options
        self.template = self._variables.provision(template)
        self.built_in_model = self._variables.built_in_model
        self._injector = load_injector(options, overrides, trace)
        url = f"{options.address.url}{SERVICES_PATH}"
        self._services = AwsServices(url, trace, self._real_clock, self._deliver, self._state.services)
        self._s3 = S3Endpoint(self._services, lambda: (self.template.buckets, self._variables.secret), self._is_welcome)
        self._check = RequestCheck(options.address, lambda: self.built_in_model, self._s3.is_open_to_pages)
        self._pages = Pages(options, lambda: self.template, lambda: self._variables.overrides, self._check)
        self.functions = self._lambda(zygote)
        self._cost = CostSoFar(trace, self.functions.memory, self._real_clock.time)
        self._record = record_payloads(trace, self.template) if options.record else None
        # Who waits for an event waits in real time.
        self._trace_api = TraceApi(trace, self._record, self.functions.invoke, self._real_clock)
        self._interceptor = FaultInterceptor(self._injector, self.functions) if self._injector else None
        self._gateway = self._api_gateway()
        seed = options.gateway.reorder
        self._reordering = None if seed is None else Random(seed)  # noqa: S311 - not a secret
        self.mounts: dict[str, WebSocketGateway] = {}
        self._mount(template)
        kept = Data(data.current, keeps=True, lock=data.lock) if data else None
        self.database = database(options, overrides, trace, self._real_clock, kept)
        self._provisioning = Provisioning(
            options, self._services, self.database, lambda: self._variables.credentials(), keeps=data is not None
        )
        self._sources = EventSources(
            self.template, self._services, self.functions, partial(ask, self.database), trace, self._clock
        )
        self._access = access_control(options, self.template, overrides, trace)
        self._model = BuiltInModel(options.tokens_per_second, self._model_failure)
        self._sending: set[asyncio.Task[None]] = set()
        self._ready = asyncio.Event()
        self._call_paths = (INVOKE_PATH, SERVICES_PATH, *([DYNAMODB_PATH] if self.database else []))
        self._reset_api = self._for_tests()
        self._own_api = self._for_developers()

    def _mount(self, described: Template) -> None:
        """Serve the APIs of the template. A stage that was served already goes on. `described` is it as it was read."""
        trace, options, before = self._trace, self.options, self.mounts
        self.mounts = {}
        for path, (api, stage) in mounted(self.template.websocket_apis).items():
            if path in before and before[path].is_for(api, stage):
                before[path].renew(api, stage)
                self.mounts[path] = before[path]
            else:
                self.mounts[path] = WebSocketGateway(api, stage, self._gateway, self._reordering)
        self._http_apis = {
            path: HttpGateway(api, self.functions.invoke, trace, self._clock, path)
            for path, api in mounted_http(self.template.http_apis).items()
        }
        self._http = {path: SharedWithPages(api, self._is_welcome) for path, api in self._http_apis.items()}
        self.http_endpoints = http_endpoints(self.template.http_apis)
        self._prefixes = prefixes(self.template)
        self._origins = {*options.gateway.origins, *allowed_origins(self.template)}
        self._stages = stages_by_path(self.template.websocket_apis, described.websocket_apis)

    def provisioned(self, template: Template, overrides: Mapping[str, str]) -> Template:
        """Return a template that was read, with the final variables of its functions."""
        return FunctionVariables.on_this_machine(self.options, overrides).provision(template)

    async def create(self, template: Template) -> None:
        """Create the tables, queues, topics, buckets and parameters that a template has newly. None is removed.

        Raises `StartError` if a table is refused.
        """
        async with self._no_reset():
            await self._provisioning.add(template, self.template)

    async def renew(self, template: Template, overrides: Mapping[str, str]) -> None:
        """Serve the APIs and event sources of this template from now on. The caller renews its functions.

        Connections stay open; those of stages that it has no longer are closed.
        """
        async with self._no_reset():
            self._variables = FunctionVariables.on_this_machine(self.options, overrides)
            before, self.template = self.template, self._variables.provision(template)
            self.built_in_model = self._variables.built_in_model
            if self._record:
                self._record.redact(secrets_of(self.template))
            self._mount(template)
            await self._sources.renew(self.template)
            if _permissions(before) != _permissions(self.template):
                self._access = access_control(self.options, self.template, overrides, self._trace)
            await self._gateway.management_api.renew(
                {(api.api_id, stage.name) for api in self.template.websocket_apis for stage in api.stages}
            )
            if self._reset_api:
                self._reset_api.parts = self._parts()

    def _no_reset(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Return what lets no test reset the emulator meanwhile."""
        return self._reset_api.one_at_a_time if self._reset_api else contextlib.nullcontext()

    def _for_tests(self) -> ResetApi | None:
        """Return the requests of tests; None without `--test-api`. Raises `StartError`."""
        if not self.options.test_api:
            return None
        if not self.options.embeds_dynamodb or self.database is None:
            raise StartError(
                "--test-api empties the tables, so it refuses the DynamoDB of --dynamodb. Leave out --dynamodb for the "
                "embedded one."
            )
        return ResetApi(self._parts())

    def _for_developers(self) -> OwnApi:
        """Return the emulator's own API."""
        console = ConsoleApi(self.database, self._services, self._gateway.management_api, self._cost)
        return OwnApi(
            self._trace_api, self._reports, self._sources, self._injector, self._reset_api, console, self._pages
        )

    def _parts(self) -> Parts:
        """Return what a reset is about."""
        assert isinstance(self._clock, MovableClock) and self.database is not None  # noqa: S101, PT018 - as tests need
        forget = (self._model.reset, self._trace.clear, self._cost.reset)
        account, access = self._gateway.account, [self._access.reset] if self._access else []
        injector = [self._injector.reset] if self._injector else []
        stages = [stage.reset for stage in self.mounts.values()]
        record = [self._record.forget] if self._record else []
        return Parts(
            self._clock,
            self.functions,
            self._gateway.management_api,
            self._sources,
            self._services,
            self.database,
            self.template,
            self.options.users,
            self._work,
            (account.reset, *access, *injector, *stages, *record, *forget),
            self._ready,
        )

    def _work(self) -> set[asyncio.Task[Any]]:
        """Return the tasks that run outside of functions, and may still have an effect."""
        seconds = self._interceptor.work if self._interceptor else ()
        return {*self._sending, *seconds, *(task for stage in self.mounts.values() for task in stage.work)}

    def _model_failure(self, body: str) -> ModelFailure | None:
        fault = self._injector.at("model", body) if self._injector else None
        return ModelFailure(fault.do, fault.seconds) if fault else None

    def _lambda(self, zygote: ZygoteProcess | None) -> Functions:
        options, functions = self.options.functions, self.template.functions
        runner = runner_for(
            options.mode,
            functions,
            self._trace,
            environments=options.environments,
            clock=self._real_clock,
            injector=self._injector,
            zygote=zygote,
            freezes=options.freezes,
        )
        return Functions(
            functions,
            self._trace,
            runner,
            retry_delay=options.retry_delay,
            duplicates=options.duplicates,
            clock=self._clock,
            enqueue=self._enqueue,
            event_log=self._state.events,
        )

    def _api_gateway(self) -> GatewayContext:
        options, trace, clock = self.options.gateway, self._trace, self._clock
        account = AccountRateLimiter(options.quotas, clock.time)
        stages = {stage.name for api in self.template.websocket_apis for stage in api.stages}
        waits = options.assumptions.post_in_connect == "hangs"
        return GatewayContext(
            integrations=IntegrationCaller(
                self._invoke, trace, clock, options.limits, options.assumptions.status_if_missing
            ),
            management_api=ManagementApi(stages, account, trace, clock, options.post_latency / 1000, waits=waits),
            account=account,
            trace=trace,
            clock=clock,
            caller=self._caller,
            limits=options.limits,
            assumptions=options.assumptions,
            kept=self._state.connections,
        )

    async def _invoke(self, name: str, payload: bytes, qualifier: str) -> Outcome:
        return await (self._interceptor or self.functions).invoke(name, payload, qualifier)

    def _deliver(self, arn: str, payload: bytes, source: str) -> None:
        self._sources.deliver(arn, payload, source)

    def _enqueue(self, arn: str, body: str, attributes: Mapping[str, str]) -> None:
        task = asyncio.ensure_future(self._services.send(arn, body, attributes))
        # The event loop keeps only weak references to tasks.
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def _caller(self, handshake: Handshake) -> dict[str, str] | None:
        request = SignedRequest("GET", handshake.path, handshake.query, handshake.headers)
        if not self._is_signed(request):
            return None
        key = access_key(request)
        return caller_identity(key, self.functions.caller(key), self.template.roles)

    def _is_signed(self, request: SignedRequest) -> bool:
        return (
            is_valid(request, self._variables.secret) if self.options.gateway.verify_signatures else is_signed(request)
        )

    async def run(self, listener: socket, on_ready: Callable[[], None], on_stop: Callable[[], None]) -> None:
        """Serve on a listening socket until SIGINT or SIGTERM, then end every child process at once.

        Raises `StartError`.
        """
        server = Server(self, listener, self._variables.certificate, aborts=self._injector is not None)
        stopping = stop_on_signals()
        serving = asyncio.create_task(server.serve(sockets=[]))
        try:
            await asyncio.gather(self.functions.start(), self._provisioning.start(self.template))
            # Before modules are imported: one may read a parameter or a table, and waits for the answer.
            self._ready.set()
            # The others are tried later, and end again: each would take 20 to 30 MB. But before faults may strike.
            may_fail = self.options.faults is not None or self.options.test_api
            first = list(self.template.functions) if may_fail else first_needed(self.template)
            await self.functions.warm(first)
            self._state.resume(self.functions, self.mounts.values(), self._provisioning.keeps_tables, self._trace)
            await self._sources.start()
            if self._injector:
                self._injector.arm()
            self._cost.reset()
            on_ready()
            later = asyncio.create_task(self._do_when_quiet(first))
            await stopping.wait()
            later.cancel()
        finally:
            if self._access:
                self._access.record_unused()
            on_stop()
            self._state.stop()
            self._sources.stop()
            await self.functions.stop()
            # After the functions: while one ends, it may still call.
            await self._provisioning.stop()
            self._trace_api.stop()
            server.should_exit = server.force_exit = True
            await serving
            self._state.close()

    async def _do_when_quiet(self, started: list[str]) -> None:
        await self.functions.quiet()
        await self._services.prepare()
        await self.functions.try_others(started)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a handshake."""
        scope = with_own_path(scope, self._prefixes)
        if scope["type"] == "websocket":
            await self._serve_websocket(scope, receive, send)
            return
        if page := self._pages.answer(scope):
            await page.send(send)
            return
        with contextlib.suppress(ClientGone):
            try:
                await self._serve(scope, limited(receive, MAX_BODY_BYTES), send)
            except BodyTooLarge:
                await _TOO_LARGE.send(send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to the part that serves its path."""
        path: str = scope["path"]
        if refusal := self._check.refusal(scope):
            return await Response.of_json(403, {"message": refusal}).send(send)
        # The tables are created through this same port, and nobody else shall see a database without them.
        if not path.startswith(self._provisioning.path):
            await self._ready.wait()
        if path.startswith(self._call_paths) or CONNECTIONS_PATH in path:
            return await self._serve_call(scope, receive, send)
        if path.startswith(OWN_PATH):
            return await self._serve_own(scope, receive, send)
        if self.built_in_model and path.startswith(f"{MODEL_PATH}/"):
            return await self._model(scope, receive, send)
        first = f"/{path.split('/')[1]}"
        mount = first if first in self._http else ""
        stage = self.mounts.get(path.rstrip("/")) if scope["method"] in ("GET", "HEAD") else None
        # On AWS each API has a host of its own. Here an HTTP API has its named paths, and a stage the others.
        if stage and not (mount in self._http and self._http_apis[mount].names(scope)):
            return await stage.answer_plain(path).send(send)
        if mount in self._http:
            return await self._http[mount](scope, receive, send)
        return await Response.of_json(404, {"message": "Not Found"}).send(send)

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a handshake to the stage that serves its path. Any other path is refused."""
        await self._ready.wait()
        gateway = self.mounts.get(scope["path"].rstrip("/"))
        headers = [(name.lower(), value) for name, value in decode_headers(scope["headers"])]
        foreign = [value for name, value in headers if name == "origin" and not self._is_welcome(value, dict(headers))]
        if gateway is None:
            why = f"no stage has this path; there are {', '.join(self.mounts)}"
        elif foreign:
            why = f"the page is of {foreign[0]}; --origin {foreign[0]} lets its pages connect"
        else:
            return await gateway(scope, receive, send)
        await receive()
        self._trace.record("refuse", path=scope["path"], status=403, why=why)
        return await Response.of_json(403, {"message": "Forbidden"}).refuse(send)

    def _is_welcome(self, origin: str, headers: Mapping[str, str] | None = None) -> bool:
        host = (headers or {}).get("host", "")
        own = {host} if is_this_machine(host, self.options.address.host) else set()
        return is_welcome_page(origin, self._origins) or origin.partition("://")[2] in own

    async def _serve_call(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call of one of AWS's services."""
        body = await read_body(receive)
        call = ServiceCall(scope, body, self.functions.caller, self.functions.request)
        requested = call.requested(self._stages) if self._access else None
        denied = self._access.check(call.caller, requested) if self._access and requested else None
        if denied:
            answer = denied
        elif self._reset_api:
            answer = await self._reset_api.call(partial(self._carry_out, call, scope, body, receive))
        else:
            answer = await self._carry_out(call, scope, body, receive)
        call.record(answer, self._trace)
        await answer.send(send)

    async def _carry_out(self, call: ServiceCall, scope: Scope, body: bytes, receive: Receive) -> Response:
        """Answer a call that is not denied, with the fault that is due."""
        answer = partial(self._answer, scope, body, receive)
        return await (self._interceptor.call(call, answer) if self._interceptor else answer())

    async def _answer(self, scope: Scope, body: bytes, receive: Receive, delivery: Delivery = ONCE) -> Response:
        path, headers = scope["path"], dict(decode_headers(scope["headers"]))
        if self.database and path.startswith(DYNAMODB_PATH):
            return await self.database.answer(headers, body)
        if path.startswith(INVOKE_PATH):
            name = path.removeprefix(INVOKE_PATH).removesuffix(INVOKE_SUFFIX)
            query = scope["query_string"].decode("latin-1")
            return Response(*await self.functions.http_invoke(name, headers, body, delivery, query))
        if path.startswith(SERVICES_PATH):
            service = path.removeprefix(SERVICES_PATH).strip("/").partition("/")[0]
            if service == EVENTS:
                return Response(*self._sources.rules.answer(headers, body))
            if service == "s3":
                return await self._s3.answer(scope, body)
            # SDKs send no query; an integration's URI adds one to its form.
            form = b"&".join(part for part in (body, scope["query_string"]) if part)
            return await self._services.answer(service, scope["method"], headers, form, receive=receive)
        return await self._answer_management(scope, body)

    async def _answer_management(self, scope: Scope, body: bytes) -> Response:
        before, _, connection_id = scope["path"].partition(CONNECTIONS_PATH)
        query = scope["query_string"].decode("latin-1")
        path = scope["raw_path"].decode("latin-1")
        request = SignedRequest(scope["method"], path, query, decode_headers(scope["headers"]), body)
        signed, key = self._is_signed(request), access_key(request)
        caller = {"function": self.functions.caller(key), "request_id": self.functions.request(key)}
        stage = before.rpartition("/")[2]
        named = {name: value for name, value in caller.items() if value}
        return await self._gateway.management_api.answer(scope["method"], stage, connection_id, body, signed, named)

    def addresses(self) -> dict[str, Any]:
        """Return the addresses of everything that is served, as plain JSON, and the variables that name them."""
        url = self.options.address.url
        host = url.removeprefix("http://")
        sockets = {path: f"ws://{host}{path}" for path in self.mounts}
        return {
            "url": url,
            "webSockets": sockets,
            "httpApis": [f"{url}{path}" for path, _ in self.http_endpoints],
            "functions": sorted(self.template.functions),
            "tables": sorted(table.name for table in self.template.tables),
            "variables": self._variables.of_clients(self.template, next(iter(sockets.values()), None)),
        }

    async def _serve_own(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive)
        await (await self._own_api.answer(scope["method"], scope["path"], scope["query_string"], body)).send(send)

    def _reports(self) -> dict[str, Callable[[], Any]]:
        """Return the reports, by their paths."""
        access = {IAM_PATH: self._access.report} if self._access else {}
        model = {MODEL_REPORT_PATH: lambda: self._model.report} if self._injector else {}
        lists = {ADDRESSES_PATH: self.addresses, CONNECTIONS_REPORT_PATH: self._gateway.management_api.listed}
        return {**lists, **access, **model}


def _permissions(template: Template) -> tuple[object, ...]:
    """Return what of a template decides what its functions may do."""
    sources, names = (template.event_sources, template.streams), (template.deployed_names, sorted(template.functions))
    return template.roles, *sources, *names, [(each.name, each.key) for each in template.secrets]
