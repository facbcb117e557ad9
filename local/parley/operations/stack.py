"""A CloudFormation stack: its state, its outputs, and what stays when it is removed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from parley.errors import StartError
from parley.operations.access import CALL_ERRORS, Access, code_of, failed, message_of
from parley.template.source import load

_KEPT = ("Retain", "RetainExceptOnCreate")


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of a stack. `name` is its physical name or URL."""

    logical_id: str
    kind: str
    name: str
    status: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack as CloudFormation describes it."""

    name: str
    id: str
    status: str
    reason: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]
    is_protected: bool

    def output(self, name: str) -> str:
        """Return an output. Raises `StartError` if the stack has none of this name: it is not one of Parley's."""
        if name not in self.outputs:
            raise StartError(f"Stack {self.name} has no output {name}. Deploy this version with make deploy first.")
        return self.outputs[name]


def find(access: Access, name: str) -> Stack | None:
    """Return a stack by its name or id, or None if there is none. Raises `StartError`."""
    try:
        [content] = access.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if code_of(error) == "ValidationError" and "does not exist" in message_of(error):
            return None
        raise failed(error, _asked_for(name, access)) from None
    except CALL_ERRORS as error:
        raise failed(error, _asked_for(name, access)) from None
    return Stack(
        content["StackName"],
        content["StackId"],
        content["StackStatus"],
        content.get("StackStatusReason", ""),
        {each["OutputKey"]: each["OutputValue"] for each in content.get("Outputs", ())},
        {each["ParameterKey"]: each.get("ParameterValue", "") for each in content.get("Parameters", ())},
        content.get("EnableTerminationProtection", False),
    )


def get(access: Access, name: str) -> Stack:
    """Return a stack that must exist. Raises `StartError`."""
    stack = find(access, name)
    if stack is None:
        raise StartError(
            f"There is no stack {name} in {access.region}. Check its name and the region (AWS_DEFAULT_REGION), "
            "or deploy it with make deploy."
        )
    return stack


def resources(access: Access, stack: Stack) -> list[Resource]:
    """Return the resources of a stack. Raises `StartError`."""
    try:
        pages = access.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack.id)
        return [_resource(each) for page in pages for each in page["StackResourceSummaries"]]
    except CALL_ERRORS as error:
        raise failed(error, f"The list of the resources of stack {stack.name}") from None


def kept(access: Access, stack: Stack) -> list[Resource]:
    """Return the resources that stay when the stack is removed: its template says so. Raises `StartError`."""
    try:
        answer = access.client("cloudformation").get_template(StackName=stack.id, TemplateStage="Original")
    except CALL_ERRORS as error:
        raise failed(error, f"The template of stack {stack.name}") from None
    body = answer["TemplateBody"]
    declared = (load(body) if isinstance(body, str) else body).get("Resources", {})
    staying = {name for name, each in declared.items() if each.get("DeletionPolicy") in _KEPT}
    there = (each for each in resources(access, stack) if each.status != "DELETE_COMPLETE")
    return [each for each in there if each.logical_id in staying and each.name]


def failures(access: Access, stack: Stack) -> Iterator[Resource]:
    """Yield the resources that failed in the newest operation, the first failure first. Raises `StartError`."""
    found: list[Resource] = []
    try:
        for page in access.client("cloudformation").get_paginator("describe_stack_events").paginate(StackName=stack.id):
            for event in page["StackEvents"]:
                if _is_start_of_operation(event, stack):
                    yield from reversed(found)
                    return
                if _is_cause(event, stack):
                    found.append(_resource(event))
    except CALL_ERRORS as error:
        raise failed(error, f"The events of stack {stack.name}") from None
    yield from reversed(found)


def _is_cause(event: Mapping[str, Any], stack: Stack) -> bool:
    """Tell if an event is the failure of a resource, and not one that another failure caused."""
    is_failed = event["ResourceStatus"].endswith("_FAILED") and event.get("PhysicalResourceId") != stack.id
    return is_failed and "cancelled" not in event.get("ResourceStatusReason", "")


def _is_start_of_operation(event: Mapping[str, Any], stack: Stack) -> bool:
    """Tell if an event is the first one of a creation, an update or a deletion, not of the rollback after it."""
    of_stack = event.get("PhysicalResourceId") == stack.id
    return of_stack and event["ResourceStatus"] in ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS")


def _resource(content: Mapping[str, Any]) -> Resource:
    return Resource(
        content["LogicalResourceId"],
        content["ResourceType"],
        content.get("PhysicalResourceId", ""),
        content["ResourceStatus"],
        content.get("ResourceStatusReason", ""),
    )


def _asked_for(name: str, access: Access) -> str:
    return f"The state of stack {name} in {access.region}"
