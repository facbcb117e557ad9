"""The emulator: API Gateway, Lambda and DynamoDB behind one port, and the built-in model beside them."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from socket import socket
from threading import Lock

from parley.asgi import BodyTooLarge, ClientGone, Receive, Response, Scope, Send, limited, read_body
from parley.aws_services import AwsServices
from parley.clock import Clock
from parley.dynamodb.provision import provision, provision_embedded
from parley.emulator.access import access_control
from parley.emulator.call_log import ServiceCall
from parley.emulator.database import database
from parley.emulator.fault_interceptor import FaultInterceptor
from parley.emulator.first import first_needed
from parley.emulator.hosts import prefixes, with_own_path
from parley.emulator.options import Options
from parley.emulator.paths import (
    CONNECTIONS_PATH,
    CONNECTIONS_REPORT_PATH,
    DYNAMODB_PATH,
    FAULTS_PATH,
    IAM_PATH,
    INVOKE_PATH,
    INVOKE_SUFFIX,
    MODEL_PATH,
    MODEL_REPORT_PATH,
    OWN_PATH,
    SERVICES_PATH,
    TRACE_PATH,
    mounted,
    mounted_http,
    stages_by_path,
)
from parley.emulator.server import Server, stop_on_signals
from parley.emulator.variables import FunctionVariables, allowed_origins
from parley.errors import StartError
from parley.faults.injector import Injector
from parley.faults.plan import Plan, PlanError
from parley.functions.asynchronous import ONCE, Delivery
from parley.functions.event_sources import QueuePoller
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
from parley.host_check import (
    comes_from_a_foreign_page,
    comes_from_this_machine,
    is_this_machine,
    is_welcome_page,
)
from parley.iam.identity import caller_identity
from parley.llm.server import BuiltInModel
from parley.template.model import Template
from parley.trace import Trace

MAX_BODY_BYTES = 32 * 1024 * 1024
"""The size of the largest request: twice the 16 MB of DynamoDB's BatchWriteItem, which JSON makes larger."""

_TOO_LARGE = Response.of_json(413, {"message": "Request Entity Too Large"}, {"connection": "close"})


class Emulator:
    """A template's APIs, functions, tables and queues, and the ASGI application that serves them.

    `overrides` are the developer's variables. `zygote` is the process that environments are forked from, if it runs
    already. Raises `StartError` for a fault plan that cannot be used.
    """

    def __init__(
        self,
        options: Options,
        template: Template,
        overrides: Mapping[str, str],
        trace: Trace,
        zygote: ZygoteProcess | None = None,
    ) -> None:
        self._clock = Clock()
        self._trace = trace
        self._variables = FunctionVariables.on_this_machine(options, overrides)
        self.options = options
        self.template = self._variables.provision(template)
        self.built_in_model = self._variables.built_in_model
        self._injector = _load_injector(options, overrides, trace)
        importing = Lock()
        self._services = AwsServices(f"{options.address.url}{SERVICES_PATH}", trace, importing)
        self.functions = self._lambda(zygote)
        self._interceptor = FaultInterceptor(self._injector, self.functions) if self._injector else None
        self._poller = QueuePoller(self.template.event_sources, self._services, self.functions.invoke, self._clock)
        self._gateway = self._api_gateway()
        seed = options.gateway.reorder
        self._reordering = None if seed is None else Random(seed)  # noqa: S311 - not a secret
        self.mounts: dict[str, WebSocketGateway] = {}
        self._mount(template)
        self.database = database(options, overrides, importing, trace, self._clock)
        self._access = access_control(options, self.template, overrides, trace)
        self._model = BuiltInModel(options.tokens_per_second, self._injector.at_model if self._injector else None)
        self._sending: set[asyncio.Task[None]] = set()
        self._ready = asyncio.Event()
        self._call_paths = (INVOKE_PATH, SERVICES_PATH, *([DYNAMODB_PATH] if self.database else []))
        self._provisioning_path = f"{DYNAMODB_PATH}/{secrets.token_hex(16)}"

    def _mount(self, described: Template) -> None:
        """Serve the APIs of the template. A stage that was served already goes on. `described` is it as it was read."""
        trace, options, before = self._trace, self.options, self.mounts
        self.mounts = {}
        for path, (api, stage) in mounted(self.template.websocket_apis).items():
            if path in before and before[path].serves(api, stage):
                before[path].renew(api, stage)
                self.mounts[path] = before[path]
            else:
                self.mounts[path] = WebSocketGateway(api, stage, self._gateway, self._reordering)
        self._http_apis = {
            path: HttpGateway(api, self.functions.invoke, trace, self._clock, path)
            for path, api in mounted_http(self.template.http_apis).items()
        }
        self._http = {path: SharedWithPages(api, self._is_welcome) for path, api in self._http_apis.items()}
        self.http_paths = [path or "/" for path in self._http]
        self._prefixes = prefixes(self.template)
        self._origins = {*options.gateway.origins, *allowed_origins(self.template)}
        self._stages = stages_by_path(self.template.websocket_apis, described.websocket_apis)

    def provisioned(self, template: Template, overrides: Mapping[str, str]) -> Template:
        """Return a template that was read, with the final variables of its functions."""
        return FunctionVariables.on_this_machine(self.options, overrides).provision(template)

    async def create(self, template: Template) -> None:
        """Create the tables, queues, topics and parameters that a template has newly. None is removed.

        Raises `StartError` if a table is refused.
        """
        if self.template.tables != template.tables:
            await self._provision_tables(template)
        await self._provision_services(template, self.template)

    async def renew(self, template: Template, overrides: Mapping[str, str]) -> None:
        """Serve the APIs and event sources of this template from now on. The caller renews its functions.

        Connections stay open; those of stages that it has no longer are closed.
        """
        self._variables = FunctionVariables.on_this_machine(self.options, overrides)
        before, self.template = self.template, self._variables.provision(template)
        self.built_in_model = self._variables.built_in_model
        self._mount(template)
        self._poller.renew(self.template.event_sources)
        if _permissions(before) != _permissions(self.template):
            self._access = access_control(self.options, self.template, overrides, self._trace)
        await self._gateway.management_api.renew(
            {(api.api_id, stage.name) for api in self.template.websocket_apis for stage in api.stages}
        )

    async def _provision_services(self, now: Template, before: Template | None = None) -> None:
        """Create the queues, parameters, topics and subscriptions that were not there before."""
        then = before or Template({}, (), (), ())
        await self._services.provision(
            tuple(each for each in now.queues if each.name not in {other.name for other in then.queues}),
            tuple(each for each in now.parameters if each not in then.parameters),
            tuple(each for each in now.topics if each.name not in {other.name for other in then.topics}),
            tuple(each for each in now.subscriptions if each not in then.subscriptions),
        )

    def _lambda(self, zygote: ZygoteProcess | None) -> Functions:
        options, functions = self.options.functions, self.template.functions
        runner = runner_for(
            options.mode,
            functions,
            self._trace,
            environments=options.environments,
            clock=self._clock,
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
        )

    async def _invoke(self, name: str, payload: bytes, qualifier: str) -> Outcome:
        return await (self._interceptor or self.functions).invoke(name, payload, qualifier)

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
            await asyncio.gather(
                self.functions.start(),
                self._provision_database(),
                self._provision_services(self.template),
            )
            # Before modules are imported: one may read a parameter or a table, and waits for the answer.
            self._ready.set()
            # The others are tried later, and end again: each would take 20 to 30 MB. But before faults may strike.
            first = first_needed(self.template) if self._injector is None else list(self.template.functions)
            await self.functions.warm(first)
            self._poller.start()
            if self._injector:
                self._injector.arm()
            on_ready()
            trying = asyncio.create_task(self.functions.try_others(first))
            await stopping.wait()
            trying.cancel()
        finally:
            if self._access:
                self._access.record_unused()
            on_stop()
            self._poller.stop()
            await self.functions.stop()
            # After the functions: while one ends, it may still call.
            await self._stop_database()
            server.should_exit = server.force_exit = True
            await serving

    async def _stop_database(self) -> None:
        if self.database:
            await self.database.stop()

    async def _provision_database(self) -> None:
        if self.database:
            await self.database.start()
        await self._provision_tables(self.template)

    async def _provision_tables(self, template: Template) -> None:
        users = self.options.users
        if self.options.embeds_dynamodb:
            endpoint = f"{self.options.address.url}{self._provisioning_path}"
            return await asyncio.to_thread(provision_embedded, endpoint, template, users)
        credentials = self._variables.credentials()
        return await asyncio.to_thread(provision, self.options.dynamodb, template, users, credentials)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a handshake."""
        scope = with_own_path(scope, self._prefixes)
        if scope["type"] == "websocket":
            await self._serve_websocket(scope, receive, send)
            return
        with contextlib.suppress(ClientGone):
            try:
                await self._serve(scope, limited(receive, MAX_BODY_BYTES), send)
            except BodyTooLarge:
                await _TOO_LARGE.send(send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to the part that serves its path."""
        path: str = scope["path"]
        if refusal := self._refusal(scope):
            return await Response.of_json(403, {"message": refusal}).send(send)
        # The tables are created through this same port, and nobody else shall see a database without them.
        if not path.startswith(self._provisioning_path):
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

    def _refusal(self, scope: Scope) -> str | None:
        """Return why a request for the emulator itself or for a service of AWS's is refused, None if it is not."""
        path: str = scope["path"]
        is_ours = path.startswith((OWN_PATH, INVOKE_PATH))
        is_model = self.built_in_model and path.startswith(f"{MODEL_PATH}/")
        if not (is_ours or is_model or CONNECTIONS_PATH in path):
            return None
        address = self.options.address
        if not address.exposed and not comes_from_this_machine(scope["client"], scope["server"]):
            return "Only this machine may call this, unless the emulator is started with --expose"
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"host"]
        if is_ours and not (len(hosts) == 1 and is_this_machine(hosts[0], address.host)):
            return "This host is not this machine"
        return "Web pages may not call this" if comes_from_a_foreign_page(headers) else None

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
        call = ServiceCall(scope, body, self.functions.caller)
        requested = call.requested(self._stages) if self._access else None
        denied = self._access.check(call.caller, requested) if self._access and requested else None
        if denied:
            answer = denied
        elif self._interceptor:
            answer = await self._interceptor.call(call, partial(self._answer, scope, body))
        else:
            answer = await self._answer(scope, body)
        call.record(answer, self._trace)
        await answer.send(send)

    async def _answer(self, scope: Scope, body: bytes, delivery: Delivery = ONCE) -> Response:
        path, headers = scope["path"], dict(decode_headers(scope["headers"]))
        if self.database and path.startswith(DYNAMODB_PATH):
            return await self.database.answer(headers, body)
        if path.startswith(INVOKE_PATH):
            name = path.removeprefix(INVOKE_PATH).removesuffix(INVOKE_SUFFIX)
            query = scope["query_string"].decode("latin-1")
            return Response(*await self.functions.http_invoke(name, headers, body, delivery, query))
        if path.startswith(SERVICES_PATH):
            service = path.removeprefix(SERVICES_PATH).strip("/").partition("/")[0]
            # SDKs send no query; an integration's URI adds one to its form.
            form = b"&".join(part for part in (body, scope["query_string"]) if part)
            return await self._services.answer(service, scope["method"], headers, form)
        return await self._answer_management(scope, body)

    async def _answer_management(self, scope: Scope, body: bytes) -> Response:
        before, _, connection_id = scope["path"].partition(CONNECTIONS_PATH)
        query = scope["query_string"].decode("latin-1")
        path = scope["raw_path"].decode("latin-1")
        signed = self._is_signed(SignedRequest(scope["method"], path, query, decode_headers(scope["headers"]), body))
        stage = before.rpartition("/")[2]
        return await self._gateway.management_api.answer(scope["method"], stage, connection_id, body, signed)

    async def _serve_own(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of the emulator's own API: the trace, the reports, the fault plan."""
        path = scope["path"]
        if path == TRACE_PATH:
            return await self._trace.answer(scope["query_string"]).send(send)
        if path == CONNECTIONS_REPORT_PATH:
            return await Response.of_json(200, self._gateway.management_api.listed()).send(send)
        if self._access and path == IAM_PATH:
            return await Response.of_json(200, self._access.report()).send(send)
        if self._injector and path == MODEL_REPORT_PATH:
            return await Response.of_json(200, self._model.report).send(send)
        if self._injector and path == FAULTS_PATH:
            return await self._injector.answer(scope["method"], await read_body(receive)).send(send)
        return await Response.of_json(404, {"message": "Not Found"}).send(send)


def _permissions(template: Template) -> tuple[object, ...]:
    """Return what of a template decides what its functions may do."""
    return template.roles, template.event_sources, template.deployed_names, sorted(template.functions)


def _load_injector(options: Options, overrides: Mapping[str, str], trace: Trace) -> Injector | None:
    """Return the injector with the plan of `--faults`; None without that option. Raises `StartError`."""
    if options.faults is None:
        return None
    if not options.embeds_dynamodb and overrides.get("AWS_ACCESS_KEY_ID"):
        raise StartError(
            "Faults must not reach the tables of a real account, so --faults refuses to run with AWS_ACCESS_KEY_ID. "
            "To use a DynamoDB Local, unset it in the shell and in .env; to use the embedded one, leave out --dynamodb."
        )
    try:
        return Injector(Plan.of(options.faults.read_bytes()), trace)
    except (OSError, PlanError) as error:
        raise StartError(f"The fault plan {options.faults} cannot be used: {error}. Correct it.") from None
