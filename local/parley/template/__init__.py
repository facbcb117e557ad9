"""SAM and CloudFormation templates, read: `read` gives what one describes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from parley.account import ACCOUNT_ID, REGION
from parley.template.document import Document
from parley.template.document import TemplateError as TemplateError
from parley.template.event_sources import event_sources
from parley.template.functions import functions
from parley.template.http_apis import http_apis
from parley.template.model import Template
from parley.template.references import Deployment
from parley.template.storage import parameters as ssm_parameters
from parley.template.storage import queues, tables
from parley.template.unknown import note_unknown
from parley.template.websocket_apis import websocket_apis


def read(
    path: Path,
    parameters: Mapping[str, str] | None = None,
    *,
    imports: Mapping[str, str] | None = None,
    region: str = REGION,
    account: str = ACCOUNT_ID,
    stack: str = "parley",
) -> Template:
    """Read a template.

    `parameters` give its parameters values other than their defaults, `imports` what other stacks export.
    Raises `TemplateError` for a file that is no template, one without an API, or one whose code is missing.
    """
    document = Document.read(path, parameters or {}, imports or {}, Deployment(region, account, stack))
    found = functions(document)
    sockets, https = websocket_apis(document, found), tuple(http_apis(document, found))
    if not sockets and not any(api.routes for api in https):
        raise TemplateError(
            f"The template {path} has no WebSocket API. Add a resource of the type AWS::Serverless::WebSocketApi "
            "or AWS::ApiGatewayV2::Api, or name another template with --template."
        )
    template = Template(
        functions=found,
        websocket_apis=sockets,
        http_apis=https,
        tables=tuple(tables(document)),
        queues=tuple(queues(document)),
        parameters=tuple(ssm_parameters(document)),
        event_sources=tuple(event_sources(document, found)),
    )
    note_unknown(document)
    return replace(template, notes=document.notes())
