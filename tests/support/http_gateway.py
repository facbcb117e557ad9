"""An HTTP API's gateway in this process, with a client."""

import asyncio
import json

from parley.functions.invocation import Outcome
from parley.gateway.http.stage import HttpGateway
from parley.template.model import HttpApi, HttpRoute
from parley.trace import Trace

from tests.support.clock import ManualClock


class HttpGatewayClient:
    """One API in front of one function, which keeps its events and gives `answer`, an outcome or an exception."""

    def __init__(self, *routes, stage="$default", path="", payload="2.0", **api):
        self.clock = ManualClock()
        self.trace = Trace(self.clock.time)
        self.events = []
        self.answer = {"statusCode": 200}
        routes = routes or ("ANY $default",)
        parsed = (route.split(" ") for route in routes)
        made = tuple(HttpRoute(*each, "Web", payload=payload) for each in parsed)
        self.gateway = HttpGateway(
            HttpApi("Web", "abcdef1234", stage, made, **api), self.invoke, self.trace, self.clock, path
        )

    async def invoke(self, name, payload, qualifier):
        self.events.append(json.loads(payload))
        if isinstance(self.answer, Exception):
            raise self.answer
        if isinstance(self.answer, asyncio.Future):
            await self.answer
        if isinstance(self.answer, Outcome):
            return self.answer
        return Outcome(self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer).encode(), *ENDED)

    async def ask(self, method, url, *chunks, **headers):
        """Send a request; return its status, headers and body."""
        path, _, query = url.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "http_version": "1.1",
            "client": ("127.0.0.1", 50_000),
            "headers": [(b"host", b"api.example.com"), *pairs(headers)],
        }
        chunks = [*chunks] or [b""]
        messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
        messages[-1] = messages[-1] | {"more_body": False} if chunks[-1] is not None else {"type": "http.disconnect"}
        sent = []

        async def receive():
            return messages.pop(0)

        async def send(message):
            sent.append(message)

        await self.gateway(scope, receive, send)
        start, body = sent
        return (
            start["status"],
            [(name.decode(), value.decode("latin-1")) for name, value in start["headers"]],
            body["body"],
        )

    def get(self, url="/", method="GET", *chunks, **headers):
        return asyncio.run(self.ask(method, url, *chunks, **headers))

    def errors(self):
        return [event.fields["error"] for event in self.trace.after(0) if event.kind == "http"]


ENDED = (None, False, 1.0, "id")


def pairs(headers):
    for name, value in headers.items():
        for each in value if isinstance(value, list) else [value]:
            yield name.replace("_", "-").encode(), each.encode()
