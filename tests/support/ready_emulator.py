"""An emulator in this process that is ready, with functions inline, and without a port: tests call it over ASGI."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

from parley.emulator.application import Emulator
from parley.emulator.options import Address, FunctionOptions, GatewayOptions, Options, TemplateOptions
from parley.template.reader import read
from parley.trace import Trace

TEMPLATE = """
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: api, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
  Stage: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Api, StageName: live}}
"""


class ReadyEmulator:
    """An emulator of a small template. `trace` is what it did.

    `resources` are more of the template's, and `gateway` the options of API Gateway. With `test_api` it takes the
    requests of tests.
    """

    def __init__(
        self,
        folder: Path,
        address: Address,
        overrides: Mapping[str, str] | None = None,
        resources: str = "",
        *,
        test_api: bool = False,
        **gateway: Any,
    ) -> None:
        path = folder / "template.yaml"
        path.write_text(TEMPLATE + indent(dedent(resources), "  "))
        options = Options(
            TemplateOptions(path),
            address,
            FunctionOptions(mode="inline"),
            GatewayOptions(**gateway),
            users=(),
            iam="off",
            test_api=test_api,
        )
        self.trace = Trace()
        # One for all tests of a run: a certificate takes longer than all the rest.
        cache = {"XDG_CACHE_HOME": str(folder.parent)}
        self.application = Emulator(options, read(path), {**cache, **(overrides or {})}, self.trace)
        self.application._ready.set()

    async def ask(
        self, kind: str, path: str, *headers: tuple[bytes, bytes], body: bytes = b"{}", **scope: Any
    ) -> list[Any]:
        """Send a request or a handshake, whose client then leaves. Return the messages of the answer."""
        sent: list[Any] = []
        inbox: dict[str, list[dict[str, Any]]] = {
            "http": [{"type": "http.request", "body": body}],
            "websocket": [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1005}],
        }

        async def receive() -> Any:
            return inbox[kind].pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        await self.application(
            {
                "type": kind,
                "method": "PUT",
                "path": path,
                "raw_path": path.encode(),
                "query_string": b"",
                "headers": list(headers),
                "client": ("127.0.0.1", 50_000),
                "server": ("127.0.0.1", 8000),
                **scope,
            },
            receive,
            send,
        )
        return sent
