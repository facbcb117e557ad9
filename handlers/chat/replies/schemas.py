"""Schemas of tools by pydantic: what the model's server is told of a function, and the check of the arguments.

The worker has pydantic anyhow, because `openai` loads it. The other functions that load the files of assistants need no
schemas.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

from handlers.chat.assistants import Tool
from handlers.chat.replies.docstrings import described
from handlers.chat.replies.tool_calls import WrongCall

MAX_PROBLEMS = 10
"""Problems of one call's arguments that the model is told of."""

_STRICT = ConfigDict(extra="forbid", arbitrary_types_allowed=False)


class Schema:
    """The schema of one tool. Raises `ValueError` for a type that the model cannot give a value of.

    `function` is the tool in OpenAI's words.
    """

    def __init__(self, tool: Tool) -> None:
        self._names = {f"p{number}": parameter.name for number, parameter in enumerate(tool.parameters)}
        said = described(tool.description)
        try:
            self._model: type[BaseModel] = create_model(
                tool.name,
                __config__=_STRICT,
                **{
                    field: _field(parameter, said.parameters.get(parameter.name, ""))
                    for field, parameter in zip(self._names, tool.parameters, strict=True)
                },
            )
            parameters = _described(self._model)
        except Exception as error:  # also what a type of the developer's raises
            raise ValueError(f"{tool.place}: {_culprit(tool)}: {_first_line(error)}") from None
        parameters.pop("title", None)
        self.function: Mapping[str, Any] = {"name": tool.name, "description": said.text, "parameters": parameters}

    def arguments(self, text: str) -> dict[str, Any]:
        """Return the values for the function, of those parameters that the model named. Raises `WrongCall`."""
        try:
            found = self._model.model_validate_json(_object(text))
        except ValidationError as error:
            raise WrongCall("; ".join(_problems(error))) from None
        return {name: getattr(found, field) for field, name in self._names.items() if field in found.model_fields_set}


class _WithoutTitles(GenerateJsonSchema):
    """The JSON schema without titles: they repeat the names, and the model reads each token."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        """Warn of nothing: a default that is no JSON is left out of the schema, and the function has it still."""


def _described(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of a model, which can be sent."""
    schema = model.model_json_schema(schema_generator=_WithoutTitles)
    json.dumps(schema, allow_nan=False).encode()
    return schema


def _field(parameter: inspect.Parameter, description: str) -> Any:
    """Return the field of a parameter. Its names do not clash with those of pydantic: the parameter's is an alias."""
    if isinstance(parameter.default, FieldInfo):
        raise ValueError("the default is a Field; write Annotated[…, Field(…)]")
    metadata = getattr(parameter.annotation, "__metadata__", ())
    has_own = any(isinstance(each, FieldInfo) and each.description for each in metadata)
    options: dict[str, Any] = {"alias": parameter.name}
    if description and not has_own:
        options["description"] = description
    if parameter.default is not inspect.Parameter.empty:
        options["default"] = parameter.default
    return (parameter.annotation, Field(**options))


def _culprit(tool: Tool) -> str:
    """Return the words for the first parameter that has no schema by itself."""
    for parameter in tool.parameters:
        try:
            _described(create_model("Single", __config__=_STRICT, p=_field(parameter, "")))
        except Exception:
            return f"parameter {parameter.name} cannot be described to the model"
    return "its parameters cannot be described to the model"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")


def _object(text: str) -> str:
    """Return the arguments as JSON: none at all is an empty object, and a model may write its JSON into a text."""
    text = text.strip()
    if text in ("", "null"):
        return "{}"
    if text.startswith('"'):
        try:
            inner = json.loads(text)
        except ValueError:
            return text
        return str(inner) if str(inner).lstrip().startswith("{") else text
    return text


def _problems(error: ValidationError) -> Iterator[str]:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    for problem in problems[:MAX_PROBLEMS]:
        place = ".".join(map(str, problem["loc"]))
        yield f"{place}: {problem['msg']}" if place else problem["msg"]
    if len(problems) > MAX_PROBLEMS:
        yield f"{len(problems) - MAX_PROBLEMS} more"
