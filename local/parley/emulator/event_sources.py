"""Sources of a template's events beside its APIs: queues, streams of tables, and the rules of EventBridge."""

from __future__ import annotations

import json

from parley.asgi import Response
from parley.aws_services import AwsServices
from parley.aws_services.notifications import DEFAULT_BUS
from parley.clock import Clock
from parley.functions.event_sources import QueuePoller
from parley.functions.rules import Rules, UnknownRule
from parley.functions.service import Functions
from parley.functions.streams import Call, StreamPoller
from parley.template.model import Template
from parley.trace import Trace


class EventSources:
    """The sources of a template. `ask` asks DynamoDB about its streams."""

    def __init__(
        self,
        template: Template,
        services: AwsServices,
        functions: Functions,
        ask: Call,
        trace: Trace,
        clock: Clock,
    ) -> None:
        self._functions = functions
        self.rules = Rules(template.rules, template.buses, self.deliver, trace, clock)
        self._streams = StreamPoller(template.streams, ask, functions.invoke, self.deliver, trace, clock)
        self._queues = QueuePoller(template.event_sources, services, functions.invoke, clock)

    async def start(self) -> None:
        """Let events come, from now on."""
        self._queues.start()
        await self._streams.start()
        self.rules.start()

    async def renew(self, template: Template) -> None:
        """Take the sources of this template from now on. Those that were there already go on."""
        self._queues.renew(template.event_sources)
        await self._streams.renew(template.streams)
        self.rules.renew(template.rules, template.buses)

    def stop(self) -> None:
        """Let no more events come. A function that has got some goes on."""
        self._queues.stop()
        self._streams.stop()
        self.rules.stop()

    def deliver(self, arn: str, payload: bytes, source: str) -> None:
        """Send to the function, the queue or the bus with this ARN, in the name of a service."""
        if arn == DEFAULT_BUS:
            self.rules.put_of_service(json.loads(payload))
        else:
            self._functions.deliver(arn, payload, source)

    def answer(self, method: str, body: bytes) -> Response:
        """Answer a request of the emulator's own API: with the rules, or run the schedule that a POST names."""
        if method != "POST":
            return Response.of_json(200, self.rules.listed())
        try:
            return Response.of_json(202, {"targets": self.rules.trigger(body.decode(errors="replace"))})
        except UnknownRule as error:
            return Response.of_json(404, {"message": str(error)})
