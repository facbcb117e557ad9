"""A template file while it is read: its parts found, its names known, its values resolved when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from local.errors import StartError
from local.template.intrinsics import NO_VALUE, Resolver, as_text, load


class TemplateError(StartError):
    """The template cannot be used."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where the template would be deployed, as its pseudo parameters say it."""

    region: str
    account: str
    stack: str

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of something in this account and region."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    def pseudo_parameters(self) -> dict[str, Any]:
        """Return what `Ref` gives for `AWS::Region` and its like."""
        return {
            "AWS::Region": self.region,
            "AWS::AccountId": self.account,
            "AWS::StackName": self.stack,
            "AWS::StackId": self.arn("cloudformation", f"stack/{self.stack}/local"),
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::NotificationARNs": [],
            "AWS::NoValue": NO_VALUE,
        }


@dataclass(frozen=True, slots=True)
class Properties:
    """Properties of a resource, or a part of them. `where` names them in notes and errors."""

    where: str
    raw: Mapping[str, Any]
    resolve: Resolver

    def __iter__(self) -> Iterator[str]:
        return iter(self.raw)

    def get(self, name: str) -> Any:
        """Return a property, resolved; None where it is not there."""
        value = self.resolve(self.raw.get(name))
        return None if value is NO_VALUE else value

    def text(self, name: str, default: str = "") -> str:
        """Return a property as text, the default where it is not there or empty."""
        value = self.get(name)
        return default if value is None or value == "" else as_text(value)

    def number(self, name: str, default: float) -> float:
        """Return a property as a number; the default where it is not there or, with a note, where it is none."""
        value = self.get(name)
        try:
            return default if value is None else float(value)
        except (TypeError, ValueError):
            self.resolve.notes.append(f"{name} of {self.where} is {value!r}; {default:g} is used instead")
            return default

    def part(self, name: str) -> Properties:
        """Return the properties within a property; none where it is not there."""
        return Properties(f"{self.where}.{name}", mapping(self.get(name)), self.resolve)

    def parts(self, name: str) -> list[Properties]:
        """Return the properties within each item of a property that is a list."""
        value = self.get(name)
        items = value if isinstance(value, list) else []
        return [Properties(f"{self.where}.{name}", mapping(item), self.resolve) for item in items]


class Document:
    """A template. What in it cannot be resolved is said in `notes`."""

    def __init__(
        self, path: Path, content: Mapping[str, Any], parameters: Mapping[str, str], deployment: Deployment
    ) -> None:
        self.path = path
        self.notes: list[str] = []
        self._deployment = deployment
        self._globals = mapping(content.get("Globals"))
        self._resources: dict[str, dict[str, Any]] = {
            name: resource for name, resource in content["Resources"].items() if mapping(resource)
        }
        names = deployment.pseudo_parameters() | self._parameters(mapping(content.get("Parameters")), parameters)
        conditions, mappings = mapping(content.get("Conditions")), mapping(content.get("Mappings"))
        self._resolve = Resolver(names, self._attribute, conditions, mappings, self.notes)
        # Only now, for a resource's name may depend on parameters and on conditions.
        self._physical: dict[str, str] = {name: name for name in self._resources}
        names |= self._physical
        self._physical |= {name: self._given_name(name) or name for name in self._resources}
        names |= {name: self._reference(name) for name in self._resources}

    @classmethod
    def read(cls, path: Path, parameters: Mapping[str, str], deployment: Deployment) -> Document:
        """Read a template file. Raises `TemplateError` for a file that is none."""
        content = _load(path)
        if not mapping(content) or not mapping(content.get("Resources")):
            raise TemplateError(
                f"The template {path} has no Resources. Name a SAM or CloudFormation template with --template."
            )
        return cls(path, content, parameters, deployment)

    def of_type(self, kind: str) -> list[str]:
        """Return the logical ids of the resources of a type, those left out whose condition does not hold."""
        return [
            name
            for name, resource in self._resources.items()
            if resource.get("Type") == kind
            and ("Condition" not in resource or self._resolve.condition(resource["Condition"]))
        ]

    def properties(self, logical_id: str) -> Properties:
        """Return a resource's properties, merged into what Globals give to its type."""
        resource = mapping(self._resources.get(logical_id))
        section = str(resource.get("Type", "")).removeprefix("AWS::Serverless::")
        return Properties(
            logical_id,
            _merged(mapping(self._globals.get(section)), mapping(resource.get("Properties"))),
            self._resolve,
        )

    def name(self, logical_id: str) -> str:
        """Return the name of a resource: the one that the template gives it, else its logical id."""
        return self._physical[logical_id]

    def note(self, text: str) -> None:
        """Say that something was not understood, and what follows from that."""
        self.notes.append(text)

    def _parameters(self, declared: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
        for name in given.keys() - declared.keys():
            self.note(f"parameter {name} is not declared, its value not used")
        return {name: self._parameter(name, mapping(declared[name]), given.get(name)) for name in declared}

    def _parameter(self, name: str, declared: Mapping[str, Any], given: str | None) -> Any:
        value = declared.get("Default") if given is None else given
        # A secret has no default by nature; its variable is set otherwise.
        if value is None and as_text(declared.get("NoEcho")) != "true":
            self.note(f"parameter {name} has no default and no value, it is empty")
        text = "" if value is None else as_text(value)
        is_list = str(declared.get("Type", "")).startswith(("CommaDelimitedList", "List<"))
        return [item.strip() for item in text.split(",")] if is_list else text

    def _given_name(self, logical_id: str) -> str:
        name_property = _NAMES.get(self._resources[logical_id].get("Type", ""))
        return self.properties(logical_id).text(name_property) if name_property else ""

    def _reference(self, logical_id: str) -> str:
        """Return what `Ref` gives for a resource: its name; for a queue its URL."""
        name = self.name(logical_id)
        if self._resources[logical_id].get("Type") != "AWS::SQS::Queue":
            return name
        return f"https://sqs.{self._deployment.region}.amazonaws.com/{self._deployment.account}/{name}"

    def _attribute(self, logical_id: str, attribute: str) -> str | None:
        service, resource = _ARNS.get(mapping(self._resources.get(logical_id)).get("Type", ""), ("", ""))
        match service, attribute:
            case "", _:
                return None
            case _, "Arn":
                return self._deployment.arn(service, resource + self.name(logical_id))
            case "sqs", "QueueName":
                return self.name(logical_id)
            case "sqs", "QueueUrl":
                return self._reference(logical_id)
        return None


_NAMES = {
    "AWS::Serverless::Function": "FunctionName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::SQS::Queue": "QueueName",
}
_ARNS = {
    "AWS::Serverless::Function": ("lambda", "function:"),
    "AWS::Lambda::Function": ("lambda", "function:"),
    "AWS::DynamoDB::Table": ("dynamodb", "table/"),
    "AWS::SQS::Queue": ("sqs", ""),
}


def mapping(value: Any) -> dict[str, Any]:
    """Return the value if it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def _load(path: Path) -> Any:
    try:
        return load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TemplateError(
            f"Cannot read the template {path}: {error.strerror}. Name another one with --template."
        ) from None
    except UnicodeDecodeError:
        raise TemplateError(f"The template {path} is not UTF-8 text. Name another one with --template.") from None
    except yaml.MarkedYAMLError as error:
        where = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise TemplateError(f"The template {path} is not YAML{where}: {error.problem}. Correct it there.") from None
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise TemplateError(f"The template {path} is not YAML: {reason}. Correct it.") from None


def _merged(shared: Any, own: Any) -> Any:
    """Merge as SAM merges Globals: mappings key by key, lists one after the other, of anything else the own."""
    if isinstance(shared, list) and isinstance(own, list):
        return shared + own
    if not _is_plain(shared) or not _is_plain(own):
        return own
    return shared | {name: _merged(shared[name], value) if name in shared else value for name, value in own.items()}


def _is_plain(value: Any) -> bool:
    return isinstance(value, dict) and not any(name == "Ref" or str(name).startswith("Fn::") for name in value)
