"""Reader of SAM and CloudFormation templates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from parley.template import storage
from parley.template.document import Document
from parley.template.events import with_events
from parley.template.functions import functions
from parley.template.http_apis import http_apis
from parley.template.model import Template
from parley.template.references import Stack
from parley.template.roles import roles
from parley.template.source import TemplateError
from parley.template.websocket_apis import websocket_apis

_EMULATED = {
    *("AWS::Serverless::Function", "AWS::Serverless::WebSocketApi", "AWS::Serverless::HttpApi"),
    *("AWS::Serverless::SimpleTable", "AWS::Serverless::LayerVersion", "AWS::Serverless::Api", "AWS::Lambda::Url"),
    *(f"AWS::ApiGateway::{name}" for name in ("RestApi", "Resource", "Method", "Deployment", "Stage")),
    *(
        "AWS::Lambda::Function",
        "AWS::Lambda::Alias",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Lambda::EventSourceMapping",
        "AWS::Lambda::LayerVersion",
    ),
    *("AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::SSM::Parameter", "AWS::SNS::Topic"),
    "AWS::SecretsManager::Secret",
    *(
        "AWS::SNS::Subscription",
        "AWS::S3::Bucket",
        "AWS::Events::Rule",
        "AWS::Events::EventBus",
        "AWS::Scheduler::Schedule",
    ),
    *(
        f"AWS::ApiGatewayV2::{name}"
        for name in ("Api", "Authorizer", "Integration", "IntegrationResponse", "Route", "RouteResponse", "Stage")
    ),
}
_IGNORED = {
    *("AWS::IAM::*", "AWS::Logs::*", "AWS::CloudWatch::*", "AWS::CDK::*", "AWS::Lambda::Version", "AWS::KMS::*"),
    *("AWS::Lambda::Permission", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy", "AWS::S3::BucketPolicy"),
    *("AWS::Events::EventBusPolicy", "AWS::Scheduler::ScheduleGroup", "AWS::SecretsManager::ResourcePolicy"),
    *(
        "AWS::ApiGatewayV2::Deployment",
        "AWS::ApiGatewayV2::DomainName",
        "AWS::ApiGatewayV2::ApiMapping",
        "AWS::ApiGateway::Account",
        "AWS::Route53::*",
        "AWS::CertificateManager::*",
        "AWS::WAFv2::*",
        "AWS::Budgets::*",
    ),
    *("AWS::ApplicationAutoScaling::*", "AWS::CodeDeploy::*", "AWS::XRay::*"),
}
_NESTED = {"AWS::CloudFormation::Stack": "TemplateURL", "AWS::Serverless::Application": "Location"}
"""Types of nested stacks, and the property that names the template of one."""

_TRANSFORMS = ("AWS::Serverless-2016-10-31", "AWS::LanguageExtensions")
_PARTLY_IGNORED = {"AWS::ApiGatewayV2::Model": "messages are not validated"}


def read(
    path: Path,
    parameters: Mapping[str, str] | None = None,
    *,
    imports: Mapping[str, str] | None = None,
    stack: str = "parley",
    seed: Callable[[], str] = str,
) -> Template:
    """Read a template.

    `parameters` override the defaults of its parameters; `imports` are exports of other stacks. `seed` returns what
    generated secrets are made from. Raises `TemplateError` if the file is not a template, has no API, a parameter does
    not accept its value, or the code of a function is missing.
    """
    document = Document.read(path, parameters or {}, imports or {}, Stack(stack, seed))
    if document.refusals:
        lines = "\n".join(document.with_lines(document.refusals))
        raise TemplateError(f"{lines}\nCloudFormation would refuse this. Set a value with --parameter NAME=VALUE.")
    found = functions(document)
    sockets = websocket_apis(document, found)
    https = tuple(http_apis(document, found))
    if not sockets and not any(api.routes for api in https):
        raise TemplateError(
            f"The template {path} has no WebSocket API. Add a resource of type AWS::Serverless::WebSocketApi "
            "or AWS::ApiGatewayV2::Api, or name another template with --template."
        )
    template = Template(
        functions=found,
        websocket_apis=sockets,
        http_apis=https,
        tables=tuple(storage.tables(document)),
        queues=tuple(storage.queues(document)),
        parameters=tuple(storage.parameters(document)),
        secrets=tuple(storage.secrets(document)),
        roles=roles(document, found),
        deployed_names=document.deployed_names(),
        constraints=document.parameters,
        chat_page=document.own_metadata("Parley").get("ChatPage") is True,
    )
    template = with_events(template, document, found)
    _note_nested_stacks(document)
    _note_unsupported(document)
    document.note_ignored()
    return replace(template, notes=document.notes())


def _note_unsupported(document: Document) -> None:
    """Add a note for each transform, and for each type of resource at its first one, that is not emulated."""
    for transform in document.transforms:
        if transform not in _TRANSFORMS:
            document.note(
                f"`Transform`: `{transform}` is not run; what it would change stays as it is.", ("Transform",)
            )
    seen = set(_NESTED)
    for logical_id, kind in document.resource_types.items():
        if kind in seen:
            continue
        seen.add(kind)
        node_path = ("Resources", logical_id)
        if not kind:
            document.note(f"`{logical_id}`: the resource has no Type; ignored.", node_path)
        elif kind in _PARTLY_IGNORED:
            document.note(f"`{logical_id}`: `{kind}` is ignored: {_PARTLY_IGNORED[kind]}.", node_path)
        elif not {kind, f"{kind.rpartition('::')[0]}::*"} & (_EMULATED | _IGNORED):
            document.note(f"`{logical_id}`: `{kind}` is not emulated; ignored.", node_path)


def _note_nested_stacks(document: Document) -> None:
    """Add a note for each nested stack."""
    for logical_id in document.of_type(*_NESTED):
        properties = document.properties(logical_id)
        place = properties.get(_NESTED[document.kind(logical_id)])
        where = f"what {place} describes" if isinstance(place, str) and place else "what it describes"
        properties.ignored(f"`{logical_id}`: nested stacks are not read; {where} is not here, nor are its outputs.")
