"""The JSON Schema of the emulator's own API, as the documentation has it."""

import json
from pathlib import Path
from typing import Any

import jsonschema

_SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "emulator" / "json-api.schema.json").read_text())


def conforms(content: Any, name: str) -> None:
    """Fail if a content does not conform to the schema of this name."""
    jsonschema.validate(content, {**_SCHEMA, "$ref": f"#/$defs/{name}"})
