"""CloudFormation's part of an AWS account in tests: stacks, change sets and events, without resources behind them.

Resources have their logical ids as names, as in the emulator, so that the outputs name the tables and functions of one.
https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from parley.template.document import Document
from parley.template.references import Stack as Names
from parley.template.source import load

from tests.support.cloudformation import accepts, broken_rules

_NO_CHANGES = "The submitted information didn't contain changes. Submit different information to create a change set."


@dataclass
class _Stack:
    name: str
    status: str = "REVIEW_IN_PROGRESS"
    body: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    tags: list[Any] = field(default_factory=list)
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    change_sets: dict[str, dict[str, Any]] = field(default_factory=dict)
    is_protected: bool = False

    @property
    def id(self) -> str:
        return f"arn:aws:cloudformation:eu-central-1:123456789012:stack/{self.name}/{abs(hash(self.name))}"

    @property
    def template(self) -> dict[str, Any]:
        return _content(self.body) if self.body else {}

    @property
    def document(self) -> Document:
        return Document(Path("template.yaml"), self.template, self.parameters, {}, Names(self.name))

    def note(self, logical_id: str, kind: str, status: str, reason: str = "") -> None:
        """Add an event, and give the resource, or the stack itself, its new status."""
        name = self.id if logical_id == self.name else logical_id
        now = {"LogicalResourceId": logical_id, "PhysicalResourceId": name, "ResourceType": kind}
        now |= {"ResourceStatus": status, "ResourceStatusReason": reason or None}
        common = {"StackId": self.id, "StackName": self.name, "Timestamp": datetime.now(UTC).isoformat()}
        self.events.insert(0, {"EventId": str(len(self.events)), **common, **now})
        if logical_id == self.name:
            self.status = status
        else:
            self.resources[logical_id] = now


class Stacks:
    """All stacks. `failing` maps logical ids of resources that cannot be created or deleted to the reasons.

    `outputs` replace outputs of the templates, for what runs elsewhere in a test.
    """

    def __init__(self) -> None:
        self._stacks: dict[str, _Stack] = {}
        self.failing: dict[str, str] = {}
        self.outputs: dict[str, str] = {}

    def get(self, name: str) -> _Stack:
        """Return a stack by its name or its id."""
        for stack in self._stacks.values():
            if name == stack.id or (name == stack.name and stack.status != "DELETE_COMPLETE"):
                return stack
        raise ValueError(f"Stack with id {name} does not exist")

    def names(self) -> list[str]:
        """Return the names of the stacks that are there."""
        return [stack.name for stack in self._stacks.values() if stack.status != "DELETE_COMPLETE"]

    def describe_stacks(self, given: Mapping[str, Any]) -> Any:
        stack = self.get(given["StackName"])
        declared = stack.template.get("Parameters", {})
        shown = {
            name: "****" if declared.get(name, {}).get("NoEcho") else value for name, value in stack.parameters.items()
        }
        described = {
            "StackName": stack.name,
            "StackId": stack.id,
            "StackStatus": stack.status,
            "CreationTime": datetime.now(UTC).isoformat(),
            "EnableTerminationProtection": stack.is_protected,
            "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in shown.items()],
            "Outputs": self._outputs(stack),
            "Tags": stack.tags,
        }
        return {"Stacks": [described]}

    def _outputs(self, stack: _Stack) -> list[Any]:
        if stack.status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            return []
        document = stack.document
        resolved = {
            name: self.outputs.get(name) or document.resolved(each["Value"], ("Outputs", name, "Value"))
            for name, each in stack.template.get("Outputs", {}).items()
        }
        return [{"OutputKey": name, "OutputValue": str(value)} for name, value in resolved.items()]

    def create_change_set(self, given: Mapping[str, Any]) -> Any:
        name, kind = given["StackName"], given["ChangeSetType"]
        if kind == "UPDATE":
            stack = self.get(name)
            if not stack.status.endswith(("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")):
                raise ValueError(f"Stack:{stack.id} is in {stack.status} state and can not be updated.")
        values = _values(given, self.get(name).parameters if kind == "UPDATE" else {})
        stack = self._stacks.setdefault(name, _Stack(name)) if kind == "CREATE" else self.get(name)
        if stack.status == "DELETE_COMPLETE":
            stack = self._stacks[name] = _Stack(name)
        if not stack.events:
            stack.note(name, "AWS::CloudFormation::Stack", "REVIEW_IN_PROGRESS")
        is_same = kind == "UPDATE" and (stack.body, stack.parameters) == (given["TemplateBody"], values)
        tags = given.get("Tags", [])
        change_set = {"kind": kind, "body": given["TemplateBody"], "values": values, "tags": tags, "is_same": is_same}
        stack.change_sets[given["ChangeSetName"]] = change_set
        return {"Id": given["ChangeSetName"], "StackId": stack.id}

    def describe_change_set(self, given: Mapping[str, Any]) -> Any:
        change_set = self.get(given["StackName"]).change_sets[given["ChangeSetName"]]
        if change_set["is_same"]:
            return {"Status": "FAILED", "StatusReason": _NO_CHANGES, "Changes": []}
        changes = [
            {
                "Type": "Resource",
                "ResourceChange": {
                    "Action": "Add" if change_set["kind"] == "CREATE" else "Modify",
                    "LogicalResourceId": name,
                    "ResourceType": each["Type"],
                },
            }
            for name, each in _content(change_set["body"])["Resources"].items()
        ]
        return {"Status": "CREATE_COMPLETE", "ExecutionStatus": "AVAILABLE", "Changes": changes}

    def execute_change_set(self, given: Mapping[str, Any]) -> None:
        stack = self.get(given["StackName"])
        change_set = stack.change_sets.pop(given["ChangeSetName"])
        verb = change_set["kind"]
        before = stack.body, stack.parameters
        stack.body, stack.parameters, stack.tags = change_set["body"], change_set["values"], change_set["tags"]
        stack.note(stack.name, "AWS::CloudFormation::Stack", f"{verb}_IN_PROGRESS")
        kinds = stack.document.resource_types
        for name, kind in kinds.items():
            if name in self.failing:
                stack.note(name, kind, f"{verb}_FAILED", self.failing[name])
                self._roll_back(stack, verb, before)
                return
            stack.note(name, kind, f"{verb}_COMPLETE")
        stack.note(stack.name, "AWS::CloudFormation::Stack", f"{verb}_COMPLETE")

    def _roll_back(self, stack: _Stack, verb: str, before: tuple[str, dict[str, str]]) -> None:
        prefix = "" if verb == "CREATE" else "UPDATE_"
        stack.note(stack.name, "AWS::CloudFormation::Stack", f"{prefix}ROLLBACK_IN_PROGRESS")
        if verb == "CREATE":
            for name, each in list(stack.resources.items()):
                if each["ResourceStatus"] == "CREATE_COMPLETE":
                    is_kept = stack.template["Resources"][name].get("DeletionPolicy") == "Retain"
                    stack.note(name, each["ResourceType"], "DELETE_SKIPPED" if is_kept else "DELETE_COMPLETE")
        else:
            stack.body, stack.parameters = before
        stack.note(stack.name, "AWS::CloudFormation::Stack", f"{prefix}ROLLBACK_COMPLETE")

    def delete_stack(self, given: Mapping[str, Any]) -> None:
        stack = self.get(given["StackName"])
        stack.note(stack.name, "AWS::CloudFormation::Stack", "DELETE_IN_PROGRESS")
        for name, each in list(stack.resources.items()):
            policy = stack.template["Resources"][name].get("DeletionPolicy", "Delete")
            if name in self.failing:
                stack.note(name, each["ResourceType"], "DELETE_FAILED", self.failing[name])
            elif not each["ResourceStatus"].startswith("DELETE_"):
                status = "DELETE_COMPLETE" if policy == "Delete" else "DELETE_SKIPPED"
                stack.note(name, each["ResourceType"], status)
        is_failed = any(each["ResourceStatus"] == "DELETE_FAILED" for each in stack.resources.values())
        stack.note(stack.name, "AWS::CloudFormation::Stack", "DELETE_FAILED" if is_failed else "DELETE_COMPLETE")

    def describe_stack_events(self, given: Mapping[str, Any]) -> Any:
        return {"StackEvents": self.get(given["StackName"]).events}

    def list_stack_resources(self, given: Mapping[str, Any]) -> Any:
        now = datetime.now(UTC).isoformat()
        resources = self.get(given["StackName"]).resources.values()
        return {"StackResourceSummaries": [{"LastUpdatedTimestamp": now, **each} for each in resources]}

    def get_template_summary(self, given: Mapping[str, Any]) -> Any:
        declared = self.get(given["StackName"]).template.get("Parameters", {})
        return {"Parameters": [{"ParameterKey": name} for name in declared]}

    def get_template(self, given: Mapping[str, Any]) -> Any:
        return {"TemplateBody": self.get(given["StackName"]).body, "StagesAvailable": ["Original", "Processed"]}

    def list_change_sets(self, given: Mapping[str, Any]) -> Any:
        return {"Summaries": [{"ChangeSetName": name} for name in self.get(given["StackName"]).change_sets]}


@cache
def _content(body: str) -> dict[str, Any]:
    """Return what a template says. It is read once: that takes long, and commands ask again and again."""
    content: dict[str, Any] = load(body)
    return content


def _values(given: Mapping[str, Any], earlier: Mapping[str, str]) -> dict[str, str]:
    """Return the values of all parameters. Refuses what CloudFormation refuses before it creates anything."""
    template = _content(given["TemplateBody"])
    declared = template.get("Parameters", {})
    values = {key: str(each["Default"]) for key, each in declared.items() if "Default" in each}
    for each in given.get("Parameters", ()):
        key = each["ParameterKey"]
        values[key] = earlier[key] if each.get("UsePreviousValue") == "true" else each["ParameterValue"]
    missing = [key for key in declared if key not in values]
    if missing:
        raise ValueError(f"Parameters: [{', '.join(missing)}] must have values")
    for key, each in declared.items():
        if not accepts(each, values[key]):
            raise ValueError(f"Parameter {key} failed to satisfy constraint: {each.get('ConstraintDescription')}")
    if broken := broken_rules({"Rules": {}, "Parameters": {}, **template}, values):
        raise ValueError(f"Template error: {' '.join(broken)}")
    return values
