"""A template document: resources, properties and names; values are resolved on access."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parley.account import secret_arn
from parley.template import loops
from parley.template.generated_secrets import OPTIONS, generated_secret
from parley.template.intrinsics import NO_VALUE, Resolver
from parley.template.parameters import accepted_values, as_text, is_list, list_items, refusal
from parley.template.references import NAMES, References, Stack, api_id
from parley.template.source import NodePath, SourceLines, TemplateError, read_source
from parley.template.usage import Usage

_GENERATED_SUFFIX = "A1B2C3D4E5F6"
"""An example of the twelve characters at the end of a name that CloudFormation generates."""

IMPLICIT_APIS = {"ServerlessHttpApi": "AWS::Serverless::HttpApi", "ServerlessRestApi": "AWS::Serverless::Api"}
"""Types of the APIs that SAM makes for events that name none, by logical id."""


@dataclass(frozen=True, slots=True)
class Properties:
    """Properties of a resource, or a part of them. `label` names them in notes, for example `Function.Events`.

    `node_path` is their path in the template. Values are resolved on access, so that a note names the exact line.
    """

    label: str
    raw: Mapping[str, Any]
    document: Document
    node_path: NodePath

    def __iter__(self) -> Iterator[str]:
        return (
            str(name)
            for name, value in self.raw.items()
            if _is_plain_mapping(value) or self._resolved(name) not in (None, NO_VALUE)
        )

    def get(self, name: str) -> Any:
        """Return a property, resolved; None if it does not exist."""
        self.document.usage.read((*self.node_path, name))
        value = self._resolved(name)
        return None if value is NO_VALUE else value

    def peek(self, name: str) -> Any:
        """Return a property as `get` does, for a reader of permissions only: it does not count as read."""
        value = self._resolved(name)
        return None if value is NO_VALUE else value

    def text(self, name: str, default: str = "") -> str:
        """Return a property as text. The default replaces a missing or empty one; with a note, a mapping or a list."""
        value = self.get(name)
        if isinstance(value, dict | list):
            self.note(f"`{self.label}`: `{name}` is a {_form(value)}, not a text; ignored.", name)
        return default if value is None or value == "" or isinstance(value, dict | list) else as_text(value)

    def number(self, name: str, default: float) -> float:
        """Return a property as a number. The default replaces a missing property and, with a note, an invalid one."""
        value = self.get(name)
        try:
            number = default if value is None else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
        self.note(f"`{self.label}`: `{name}` is {value!r:.100}, not a number; {default:g} is used.", name)
        return default

    def texts(self, name: str) -> list[str]:
        """Return the plain values of a list property as text; a single value as a list of one. Others get a note."""
        value = self.get(name)
        values = value if isinstance(value, list) else [] if value is None or value == "" else [value]
        for each in values:
            if isinstance(each, dict | list):
                self.note(f"`{self.label}`: `{name}` has a {_form(each)}, not a text; ignored.", name)
        return [as_text(each) for each in values if not isinstance(each, dict | list)]

    def part(self, name: str) -> Properties:
        """Return the properties inside a property; none if it does not exist or, with a note, if it is no mapping."""
        value = self._unresolved_part(name)
        if not isinstance(value, dict) and value not in (None, "", NO_VALUE):
            self.note(f"`{self.label}`: `{name}` is a {_form(value)}, not a mapping; ignored.", name)
        node_path = (*self.node_path, name)
        self.document.usage.open(node_path, as_mapping(value))
        return Properties(f"{self.label}.{name}", as_mapping(value), self.document, node_path)

    def parts(self, name: str) -> list[Properties]:
        """Return the properties inside each item of a list property; none, with a note, if it is no list."""
        value = self._unresolved_part(name)
        if not isinstance(value, list) and value not in (None, "", NO_VALUE):
            self.note(f"`{self.label}`: `{name}` is a {_form(value)}, not a list; ignored.", name)
        items = value if isinstance(value, list) else []
        self.document.usage.open((*self.node_path, name), items)
        return [self._item(name, index, item) for index, item in enumerate(items)]

    def _item(self, name: str, index: int, item: Any) -> Properties:
        node_path = (*self.node_path, name, index)
        value = item if _is_plain_mapping(item) else self.document.resolved(item, node_path)
        self.document.usage.open(node_path, as_mapping(value))
        return Properties(f"{self.label}.{name}", as_mapping(value), self.document, node_path)

    def _resolved(self, name: str) -> Any:
        return self.document.resolved(self.raw.get(name), (*self.node_path, name))

    def _unresolved_part(self, name: str) -> Any:
        """Return a property with its parts unresolved."""
        value = self.raw.get(name)
        return value if _is_plain_mapping(value) or isinstance(value, list) else self._resolved(name)

    def note(self, text: str, name: str | None = None) -> None:
        """Add a note about these properties, or about the property `name`, which then counts as read."""
        if name:
            self.document.usage.read((*self.node_path, name))
        self.document.note(text, (*self.node_path, name) if name else self.node_path)

    def ignored(self, text: str, name: str | None = None) -> None:
        """Add a note which tells that all these properties are ignored, with the line of `name` if it is given."""
        self.document.usage.read(self.node_path)
        self.note(text, name)


class Document:
    """A template document. `notes` tell what in it is not supported or cannot be resolved.

    `parameters` are those that it declares. `refusals` tell which values CloudFormation would not take for them, each
    with its path.
    """

    def __init__(
        self,
        path: Path,
        content: Mapping[str, Any],
        parameters: Mapping[str, str],
        imports: Mapping[str, str],
        stack: Stack,
    ) -> None:
        self.path = path
        self._content = content
        self._stack = stack
        self._notes: dict[str, NodePath] = {}
        self.refusals: dict[str, NodePath] = {}
        self.parameters = as_mapping(content.get("Parameters"))
        self._unresolved: set[str] = set()
        self.usage = Usage()
        self._current_path: NodePath = ()
        self._globals = as_mapping(content.get("Globals"))
        self._resources = _resources_of(content)
        names = stack.pseudo_parameters(NO_VALUE)
        references = References(stack, self.kind, self.name, lambda name, key: self.properties(name).text(key))
        self._conditions = dict(as_mapping(content.get("Conditions")))
        self._resolve = Resolver(
            names,
            references.attribute,
            self._conditions,
            as_mapping(content.get("Mappings")),
            imports,
            self._ssm_value,
            self._secret_value,
            self._note_unresolved,
        )
        self._physical: dict[str, str] = {name: name for name in self._resources}
        given = self._parameters(self.parameters, parameters)
        names |= self._physical | given
        self._resolve.decided.clear()
        # The order matters: parameters, loops, logical ids, names, and last the values of `Ref`. A loop may go through
        # a parameter, and a resource's name may depend on parameters and conditions.
        self._origins: Mapping[NodePath, NodePath] = {}
        self._expand_loops()
        self._physical = {name: name for name in self._resources}
        names |= self._physical | given
        self._physical |= {name: self._name_given(name) or self._default_name(name) for name in self._resources}
        names |= self._references(references)
        for implicit in IMPLICIT_APIS:
            names.setdefault(implicit, api_id(implicit))
        self.usage.forget()

    def _references(self, references: References) -> dict[str, str]:
        """Return the values of `Ref` for the resources, and for what SAM generates for them."""
        generated: dict[str, str] = {}
        for name in self._resources:
            generated |= references.generated_names(name)
        # A template that SAM has transformed already declares what SAM generates.
        return generated | {name: references.reference(name) for name in self._resources}

    @classmethod
    def read(cls, path: Path, parameters: Mapping[str, str], imports: Mapping[str, str], stack: Stack) -> Document:
        """Read a template file. Raises `TemplateError` for a file that is not a template."""
        content = read_source(path)
        if not as_mapping(content) or not as_mapping(content.get("Resources")):
            raise TemplateError(
                f"The template {path} has no Resources. Name a SAM or CloudFormation template with --template."
            )
        return cls(path, content, parameters, imports, stack)

    def _expand_loops(self) -> None:
        """Replace the template's loops by what they make."""
        sections = [as_mapping(self._content.get(name)) for name in loops.SECTIONS]
        is_declared = "AWS::LanguageExtensions" in self.transforms
        found = next((key for section in sections for key in section if str(key).startswith(loops.LOOP)), None)
        if not is_declared and found is None:
            return
        if not is_declared:
            self.note(f"`{found}` needs `Transform: AWS::LanguageExtensions`; without it AWS refuses the template.")
        made = loops.Loops(self._resolve, self.note)
        try:
            self._content = made.expanded(self._content)
        except loops.TooManyValues:
            raise TemplateError(
                f"The loops (Fn::ForEach) of the template {self.path} make more than {loops.MAX_VALUES:,} values. "
                "Make them smaller."
            ) from None
        self._origins = made.origins
        self._resources = _resources_of(self._content)
        self._conditions.clear()
        self._conditions |= as_mapping(self._content.get("Conditions"))
        self._resolve.decided.clear()

    @property
    def transforms(self) -> list[str]:
        """Names of the macros that CloudFormation runs on the template."""
        given = self._content.get("Transform", [])
        listed = given if isinstance(given, list) else [given]
        return [each if isinstance(each, str) else as_text(as_mapping(each).get("Name", "")) for each in listed]

    @property
    def resource_types(self) -> dict[str, str]:
        """Type of each resource by its logical id, without those whose condition is false."""
        return {name: self.kind(name) for name in self._resources if self._is_there(name)}

    def of_type(self, *kinds: str) -> list[str]:
        """Return the logical ids of the resources of these types."""
        return [name for name, kind in self.resource_types.items() if kind in kinds]

    def kind(self, logical_id: str) -> str:
        """Return the type of a resource; empty if there is no such resource, or no type."""
        kind = as_mapping(self._resources.get(logical_id)).get("Type")
        return kind if isinstance(kind, str) else ""

    def properties(self, logical_id: str) -> Properties:
        """Return a resource's properties, merged into those that Globals give to its type."""
        own = as_mapping(as_mapping(self._resources.get(logical_id)).get("Properties"))
        merged = _merge(self._shared(logical_id), own)
        return Properties(logical_id, merged, self, ("Resources", logical_id, "Properties"))

    def _shared(self, logical_id: str) -> dict[str, Any]:
        """Return the properties that Globals give to a resource, without those that its IgnoreGlobals names."""
        kind = self.kind(logical_id) or IMPLICIT_APIS.get(logical_id, "")
        shared = as_mapping(self._globals.get(kind.removeprefix("AWS::Serverless::")))
        kept_away = as_mapping(self._resources.get(logical_id)).get("IgnoreGlobals")
        if kept_away == "*":
            return {}
        names = kept_away if isinstance(kept_away, list) else []
        return {name: value for name, value in shared.items() if name not in names}

    def note_ignored(self) -> None:
        """Add a note for each property that nobody has read, at the first resource of a type."""
        said: set[tuple[str, str]] = set()
        for logical_id, kind in self.resource_types.items():
            for node_path, pattern in list(self.usage.unread(logical_id, kind, dict(self.properties(logical_id).raw))):
                if (kind, pattern) not in said and not self._is_absent(logical_id, node_path):
                    said.add((kind, pattern))
                    label = ".".join(str(step) for step in (logical_id, *node_path[3:-1]) if not isinstance(step, int))
                    self.note(f"`{label}`: `{node_path[-1]}` is not emulated; ignored.", node_path)

    def _is_absent(self, logical_id: str, node_path: NodePath) -> bool:
        """Tell if the chosen branch of a top-level property's conditions is `AWS::NoValue`."""
        value = self.properties(logical_id).raw.get(str(node_path[3]))
        return bool(self._chosen(value) == {"Ref": "AWS::NoValue"})

    def _chosen(self, value: Any) -> Any:
        """Return what is left of a value after the decisions of `Fn::If` around it."""
        match value:
            case {"Fn::If": [str() | bool() as name, yes, no]}:  # YAML takes a name such as Yes for a boolean
                return self._chosen(yes if self._resolve.condition(name) else no)
        return value

    def metadata(self, logical_id: str) -> Mapping[str, Any]:
        """Return a resource's Metadata, unresolved."""
        return as_mapping(as_mapping(self._resources.get(logical_id)).get("Metadata"))

    def own_metadata(self, name: str) -> Mapping[str, Any]:
        """Return an entry of the template's own Metadata, unresolved."""
        return as_mapping(as_mapping(self._content.get("Metadata")).get(name))

    def has_attribute(self, logical_id: str, name: str) -> bool:
        """Tell if a resource has an attribute beside its Type and Properties."""
        return name in as_mapping(self._resources.get(logical_id))

    def deployed_names(self) -> dict[str, str]:
        """Return names as CloudFormation generates them, for the resources that the template gives none."""
        return {
            logical_id: f"{self._stack.name}-{logical_id}-{_GENERATED_SUFFIX}"
            for logical_id in self.resource_types
            if self.kind(logical_id) in NAMES and not self._name_given(logical_id)
        }

    def name(self, logical_id: str) -> str:
        """Return the name of a resource: the one in the template, or its logical id."""
        return self._physical.get(logical_id, logical_id)

    def resolved(self, value: Any, node_path: NodePath) -> Any:
        """Return a value of the template at this path, with its intrinsic functions resolved."""
        before, self._current_path = self._current_path, node_path
        try:
            return self._resolve(value)
        finally:
            self._current_path = before

    def note(self, text: str, node_path: NodePath = ()) -> None:
        """Add a note, once. It is a sentence that begins with a logical id or a parameter's name."""
        self._notes.setdefault(text, node_path)

    def _note_unresolved(self, text: str) -> None:
        """Add a note about an intrinsic function, at the first resource only: others often use the same one."""
        if text not in self._unresolved:
            self._unresolved.add(text)
            subject = f"`{self._current_path[1]}`: " if self._current_path else ""
            self.note(subject + text, self._current_path)

    def notes(self) -> tuple[str, ...]:
        """Return the notes, each with its file and line."""
        return self.with_lines(self._notes)

    def with_lines(self, texts: Mapping[str, NodePath]) -> tuple[str, ...]:
        """Return texts about the template, each with the file and line of its path."""
        if not texts:
            return ()
        source_lines = SourceLines(self.path)
        return tuple(
            f"{self.path}{source_lines.of(self._origin(node_path))}: {text}" for text, node_path in texts.items()
        )

    def _origin(self, node_path: NodePath) -> NodePath:
        """Return the path at which a value stands in the file: it may be of Globals, or made by a loop."""
        if len(node_path) > 3 and node_path[0] == "Resources":
            _, logical_id, _, name, *rest = node_path
            own = as_mapping(as_mapping(self._resources.get(str(logical_id))).get("Properties"))
            if name not in own and name in self._shared(str(logical_id)):
                return ("Globals", self.kind(str(logical_id)).removeprefix("AWS::Serverless::"), name, *rest)
        made = (length for length in range(len(node_path), 0, -1) if node_path[:length] in self._origins)
        length = next(made, 0)
        return (*self._origins[node_path[:length]], *node_path[length:]) if length else node_path

    def parameter_of(self, value: Any) -> str:
        """Return the name of the parameter whose value this value of the template is; empty if it is none's."""
        match self._chosen(value):
            case {"Ref": str(name)} if name in self.parameters:
                return name
            case {"Fn::Sub": str(text)} if text[:2] == "${" and text[2:-1] in self.parameters:
                return text[2:-1]
        return ""

    def _is_there(self, logical_id: str) -> bool:
        resource = self._resources[logical_id]
        condition = resource.get("Condition")
        if not isinstance(condition, str):
            return True
        if condition not in self._conditions:
            self.note(f"`{logical_id}`: the condition `{condition}` does not exist; the resource is ignored.")
        return self._resolve.condition(condition)

    def _parameters(self, declared: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
        for name in given.keys() - declared.keys():
            self.note(f"`{name}`: the template does not declare this parameter; its value is ignored.")
        return {str(name): self._parameter(str(name), as_mapping(declared[name]), given.get(name)) for name in declared}

    def _parameter(self, name: str, declared: Mapping[str, Any], given: str | None) -> Any:
        value = declared.get("Default") if given is None else given
        kind = str(declared.get("Type", ""))
        if kind.startswith("AWS::SSM::Parameter::Value") and value is not None and given is None:
            value = self._ssm_value(as_text(value)) if as_text(value) else None
        # A secret has no default; its variable is set in another way. `BootstrapVersion` is for CDK's deployment only.
        if value is None and as_text(declared.get("NoEcho")) != "true" and name != "BootstrapVersion":
            self.note(f"`{name}`: the parameter has no default and no value; it is empty.", ("Parameters", name))
        text = "" if value is None else as_text(value)
        if value is not None and (reason := refusal(name, declared, text)):
            self.refusals[f"{reason}. Give {accepted_values(declared)}"] = ("Parameters", name)
        return list_items(text) if is_list(declared) else text

    def _ssm_value(self, name: str) -> str | None:
        """Return the value of an SSM parameter that the template itself creates."""
        found = self._find("AWS::SSM::Parameter", lambda each: each == name)
        return self.properties(found).text("Value") if found else None

    def secret_string(self, logical_id: str) -> str:
        """Return the value of a secret; empty, with a note, if Secrets Manager would refuse to generate it."""
        properties = self.properties(logical_id)
        if given := properties.text("SecretString"):
            return given
        if "GenerateSecretString" not in properties:
            return ""
        options = properties.part("GenerateSecretString")
        try:
            seed = f"{self._stack.seed()} {self._stack.name} {logical_id}"
            return generated_secret({name: options.text(name) for name in OPTIONS}, seed)
        except ValueError as error:
            properties.note(f"`{logical_id}`: {error}. AWS refuses this; the secret is empty.", "GenerateSecretString")
            return ""

    def _secret_value(self, secret: str) -> str | None:
        """Return the value of a secret that the template itself creates, by its name or ARN."""
        found = self._find("AWS::SecretsManager::Secret", lambda name: secret in (name, secret_arn(name)))
        return self.secret_string(found) if found else None

    def _find(self, kind: str, is_meant: Callable[[str], bool]) -> str | None:
        """Return the logical id of the resource of this type whose name is meant; None without one."""
        ids = (logical_id for logical_id in self._resources if self.kind(logical_id) == kind)
        return next((each for each in ids if is_meant(self.properties(each).text("Name", each))), None)

    def _default_name(self, logical_id: str) -> str:
        """Return the name of a resource that the template gives none: its logical id, which has no capitals for S3."""
        return logical_id.lower() if self.kind(logical_id) == "AWS::S3::Bucket" else logical_id

    def _name_given(self, logical_id: str) -> str:
        name_property = NAMES.get(self.kind(logical_id))
        return self.properties(logical_id).text(name_property) if name_property else ""


def _resources_of(content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    resources = as_mapping(content.get("Resources"))
    return {str(name): resource for name, resource in resources.items() if as_mapping(resource)}


def as_mapping(value: Any) -> dict[str, Any]:
    """Return the value if it is a mapping, otherwise an empty mapping."""
    return value if isinstance(value, dict) else {}


def _merge(shared: Any, own: Any) -> Any:
    """Merge as SAM merges Globals: mappings key by key, lists joined, other values replaced by the own one."""
    if isinstance(shared, list) and isinstance(own, list):
        return shared + own
    if not _is_plain_mapping(shared) or not _is_plain_mapping(own):
        return own
    return shared | {name: _merge(shared[name], value) if name in shared else value for name, value in own.items()}


def _form(value: Any) -> str:
    return "list" if isinstance(value, list) else "mapping" if isinstance(value, dict) else "text"


def _is_plain_mapping(value: Any) -> bool:
    return isinstance(value, dict) and not any(name == "Ref" or str(name).startswith("Fn::") for name in value)
