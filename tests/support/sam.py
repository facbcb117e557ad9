"""`infra/template.yaml` as CloudFormation gets it: transformed by SAM, and its resources, roles and references."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from boto3 import Session
from parley.template.source import load

TEMPLATE = Path(__file__).parents[2] / "infra" / "template.yaml"

Resource = dict[str, Any]


@cache
def _source() -> dict[str, Any]:
    content: dict[str, Any] = load(TEMPLATE.read_text())
    return content


def source() -> dict[str, Any]:
    """Return the template as it is written."""
    return copy.deepcopy(_source())


@cache
def _transformed() -> dict[str, Any]:
    # Here and not at the top: every worker imports this module, and few of them transform a template.
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator

    template = source()
    # `sam deploy` has replaced the folder by the bundle in S3 before CloudFormation sees the template.
    template["Globals"]["Function"]["CodeUri"] = "s3://bucket/bundle"
    session = Session(region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none")
    # The loader of managed policies is asked only for names that SAM does not know. There must be none.
    content: dict[str, Any] = Translator({}, Parser(), None, session).translate(template, {})
    return content


def transformed() -> dict[str, Any]:
    """Return the template as SAM transforms it."""
    return copy.deepcopy(_transformed())


def resources(template: Mapping[str, Any], kind: str) -> dict[str, Resource]:
    """Return the resources of a type, by logical id."""
    return {name: each for name, each in template["Resources"].items() if each["Type"] == kind}


def named_in(value: Any) -> Iterator[str]:
    """Yield what a value refers to, by `Ref`, `Fn::GetAtt` or `Fn::Sub`: logical ids, parameters, pseudo parameters."""
    if isinstance(value, list):
        for item in value:
            yield from named_in(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "Ref":
                yield item
            elif key == "Fn::GetAtt":
                yield (item if isinstance(item, str) else item[0]).partition(".")[0]
            elif key == "Fn::Sub":
                text, own = (item, {}) if isinstance(item, str) else item
                names = (name.partition(".")[0] for name in re.findall(r"\$\{([^!}]+)\}", text) if name not in own)
                yield from names
                yield from named_in(own)
            else:
                yield from named_in(item)


def needs(resource: Resource) -> set[str]:
    """Return what must exist before a resource does."""
    after = resource.get("DependsOn", [])
    return set(named_in(resource.get("Properties", {}))) | set([after] if isinstance(after, str) else after)


def text_of(value: Any) -> str:
    """Return an ARN of the template as text: `DeliverFunction.Arn`, or the text of `Fn::Sub`."""
    if isinstance(value, str):
        return value
    [(function, argument)] = value.items()
    if function == "Fn::GetAtt":
        return argument if isinstance(argument, str) else ".".join(argument)
    if function == "Fn::Sub":
        return argument if isinstance(argument, str) else str(argument[0])
    assert function == "Ref", value
    return str(argument)


def statements_of(template: Mapping[str, Any], role: str) -> list[dict[str, Any]]:
    """Return all statements that a role can have: its own, and those of the policies that may be attached to it."""
    properties = template["Resources"][role]["Properties"]
    documents = [policy["PolicyDocument"] for policy in properties.get("Policies", ())]
    attached = {name for arn in properties.get("ManagedPolicyArns", ()) for name in named_in(arn)}
    documents += [
        policy["Properties"]["PolicyDocument"]
        for name, policy in resources(template, "AWS::IAM::ManagedPolicy").items()
        if name in attached
    ]
    documents += [
        policy["Properties"]["PolicyDocument"]
        for policy in resources(template, "AWS::IAM::Policy").values()
        if {"Ref": role} in policy["Properties"]["Roles"]
    ]
    return [statement for document in documents for each in document["Statement"] for statement in _branches(each)]


def _branches(value: Any) -> list[dict[str, Any]]:
    """Return a statement, or all that `Fn::If` may choose from."""
    if value == {"Ref": "AWS::NoValue"}:
        return []
    if "Fn::If" in value:
        return [statement for branch in value["Fn::If"][1:] for statement in _branches(branch)]
    return [value]


def grants_of(template: Mapping[str, Any], role: str) -> list[tuple[set[str], str]]:
    """Return the actions and the resource, as text, of each statement of a role."""
    return [
        (set([action] if isinstance(action := statement["Action"], str) else action), text_of(statement["Resource"]))
        for statement in statements_of(template, role)
    ]
