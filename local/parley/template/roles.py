"""Execution roles of functions: those that SAM generates, and those that the template declares."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from parley.template.document import Document, Properties, as_mapping
from parley.template.functions import SAM
from parley.template.model import PolicyDocument, Role

_AWS_MANAGED = "arn:aws:iam::aws:policy/"
_SERVICE_ROLE = f"{_AWS_MANAGED}service-role/"
_EVENT_POLICIES = {
    "SQS": "AWSLambdaSQSQueueExecutionRole",
    "DynamoDB": "AWSLambdaDynamoDBExecutionRole",
    "Kinesis": "AWSLambdaKinesisExecutionRole",
    "MSK": "AWSLambdaMSKExecutionRole",
}
"""Managed policy that SAM attaches for an event source."""

_STATEMENTS_FOR_EVENTS = ("MQ", "SelfManagedKafka", "DocumentDB")
_SEND_ACTIONS = {
    "SQS": "sqs:SendMessage",
    "SNS": "sns:Publish",
    "EventBridge": "events:PutEvents",
    "Lambda": "lambda:InvokeFunction",
}
"""Action that SAM allows for a dead-letter queue or a destination."""


def roles(document: Document, functions: Mapping[str, object]) -> dict[str, Role]:
    """Return the execution role of each function, by the function's name."""
    reader = _RoleReader(document)
    return {
        document.name(logical_id): reader.of_function(logical_id)
        for logical_id in document.of_type(SAM, "AWS::Lambda::Function")
        if document.name(logical_id) in functions
    }


class _RoleReader:
    """Reads the roles of one template. Intrinsic functions are resolved, so the template's conditions have decided."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._own_managed = {
            self._value(logical_id, "Ref"): logical_id for logical_id in document.of_type("AWS::IAM::ManagedPolicy")
        }
        self._declared = {
            self._value(logical_id, "Ref"): logical_id for logical_id in document.of_type("AWS::IAM::Role")
        }

    def of_function(self, logical_id: str) -> Role:
        """Return the role that a function assumes."""
        properties = self._document.properties(logical_id)
        # A Role that a condition leaves out is as if there were none: SAM generates one.
        given = properties.text("Role")
        if given:
            return self._declared_role(given.rpartition("/")[2])
        if self._document.kind(logical_id) != SAM:
            return Role(f"{logical_id}Role", unknown=("it has no Role",))
        return self._generated_role(logical_id, properties)

    def _declared_role(self, name: str) -> Role:
        if name not in self._declared:
            return Role(name, unknown=("it is not in the template",))
        properties = self._document.properties(self._declared[name])
        inline = [_document_of(policy.get("PolicyDocument")) for policy in properties.parts("Policies")]
        return self._role(name, inline, properties.texts("ManagedPolicyArns"), properties)

    def _generated_role(self, logical_id: str, properties: Properties) -> Role:
        """Return the role that SAM makes from a function's properties (samtranslator/model/sam_resources.py)."""
        managed, inline, unknown = list(_managed_by_sam(properties)), list(_documents_by_sam(properties)), []
        for policy in _listed(properties.get("Policies")):
            match policy:
                case str():
                    managed.append(policy)
                case {"Statement": _}:
                    inline.append(_document_of(policy))
                case dict() if len(policy) == 1 and policy.keys() <= policy_templates().keys():
                    inline += itertools.starmap(self._expanded, policy.items())
                case _:
                    unknown.append(f"its policy {json.dumps(policy):.80} is not known")
        unknown += [f"its policy for an event of the type {kind} is not known" for kind in _unknown_events(properties)]
        if self._has_connector(logical_id):
            unknown.append("a connector adds to it")
        name = self._value(f"{logical_id}Role", "Ref")
        return self._role(name, inline, managed, properties, tuple(unknown))

    def _role(
        self,
        name: str,
        inline: list[PolicyDocument],
        managed: list[str],
        properties: Properties,
        unknown: tuple[str, ...] = (),
    ) -> Role:
        """Return a role with what other resources of the template attach to it."""
        own = [self._own_managed[arn] for arn in managed if arn in self._own_managed]
        attached = [
            logical_id
            for logical_id in self._document.of_type(
                "AWS::IAM::Policy", "AWS::IAM::RolePolicy", "AWS::IAM::ManagedPolicy"
            )
            if name in _role_names(self._document.properties(logical_id)) and logical_id not in own
        ]
        boundary = properties.text("PermissionsBoundary")
        return Role(
            name,
            (*inline, *map(self._policy, own + attached)),
            tuple(dict.fromkeys(arn for arn in managed if arn not in self._own_managed)),
            self._policy(self._own_managed[boundary]) if boundary in self._own_managed else boundary or None,
            unknown,
        )

    def _policy(self, logical_id: str) -> PolicyDocument:
        return _document_of(self._document.properties(logical_id).get("PolicyDocument"))

    def _expanded(self, template: str, values: Any) -> PolicyDocument:
        """Return the policy that SAM makes of a policy template and the values of its parameters."""
        statements = _substituted(policy_templates()[template], as_mapping(values))
        return _document_of(self._document.resolved({"Statement": statements}, ()))

    def _has_connector(self, logical_id: str) -> bool:
        sources = [
            self._document.properties(each).part("Source").text("Id")
            for each in self._document.of_type("AWS::Serverless::Connector")
        ]
        return logical_id in sources or self._document.has_attribute(logical_id, "Connectors")

    def _value(self, logical_id: str, function: str) -> str:
        return str(self._document.resolved({function: logical_id}, ("Resources", logical_id)))


def _managed_by_sam(properties: Properties) -> Iterator[str]:
    yield f"{_SERVICE_ROLE}AWSLambdaBasicExecutionRole"
    if properties.text("Tracing", "Disabled") != "Disabled":
        yield f"{_AWS_MANAGED}AWSXrayWriteOnlyAccess"
    if properties.peek("VpcConfig"):
        yield f"{_SERVICE_ROLE}AWSLambdaVPCAccessExecutionRole"
    for kind in _events(properties):
        if kind in _EVENT_POLICIES:
            yield f"{_SERVICE_ROLE}{_EVENT_POLICIES[kind]}"


def _documents_by_sam(properties: Properties) -> Iterator[PolicyDocument]:
    dead_letters = properties.part("DeadLetterQueue")
    destinations = properties.part("EventInvokeConfig").part("DestinationConfig")
    targets = [(dead_letters, "TargetArn"), *((destinations.part(name), "Destination") for name in destinations)]
    for target, name in targets:
        action, arn = _SEND_ACTIONS.get(target.text("Type")), target.text(name)
        if action and arn:
            yield _document_of({"Statement": {"Effect": "Allow", "Action": action, "Resource": arn}})


def _events(properties: Properties) -> Iterator[str]:
    events = properties.part("Events")
    yield from (events.part(name).text("Type") for name in events)


def _unknown_events(properties: Properties) -> list[str]:
    return [kind for kind in _events(properties) if kind in _STATEMENTS_FOR_EVENTS]


def _role_names(properties: Properties) -> list[str]:
    return [*properties.texts("Roles"), properties.text("RoleName")]


def _document_of(document: Any) -> PolicyDocument:
    """Return a policy document. A resource that cannot be resolved, which has a note, counts as any resource."""
    statements = [
        {
            name: [each or "*" for each in _listed(value)] if name in ("Resource", "NotResource") else value
            for name, value in statement.items()
        }
        for statement in _listed(as_mapping(document).get("Statement"))
        if isinstance(statement, dict)
    ]
    return {"Statement": statements}


def _listed(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return value if isinstance(value, list) else [value]


def _substituted(value: Any, values: Mapping[str, Any]) -> Any:
    """Return a part of a policy template with its texts as `Fn::Sub` of the parameters."""
    if isinstance(value, dict):
        return {name: _substituted(each, values) for name, each in value.items()}
    if isinstance(value, list):
        return [_substituted(each, values) for each in value]
    return {"Fn::Sub": [value, values]} if "${" in value else value


@cache
def policy_templates() -> dict[str, Any]:
    """Return SAM's policy templates by name, from aws-sam-translator 1.115 (Apache-2.0).

    A text in them may name a parameter of the policy template, as `${TableName}`.
    """
    loaded: dict[str, Any] = json.loads(files(__package__).joinpath("policy_templates.json").read_text())
    return loaded
