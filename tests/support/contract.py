"""The check that every frame of the tests keeps to the contract: `docs/protocol.schema.json`.

Clients and fakes of the tests call `received` and `sent` with the frames that they see. A frame that is not valid fails
the test that saw it, in whatever thread that was: the hooks in `tests/conftest.py` call `check`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from handlers.chat.errors import Refused
from handlers.chat.protocol.parsing import open_envelope

_SCHEMA = Path(__file__).parents[2] / "docs" / "protocol.schema.json"

MOST_NOTED = 5

_invalid: list[str] = []

_own: list[object] = []


def own(frame: dict[str, Any]) -> dict[str, Any]:
    """Return a frame that a test itself makes clients receive. As one of an administrator's, it may be anything."""
    _own.append(frame)
    return frame


def received(frame: Mapping[str, Any]) -> None:
    """Check a frame of the server, or of API Gateway: it has the fields of the schema, and no others."""
    kind = frame.get("type", "GatewayError")
    validator = _validators(closed=True)["ServerFrame"].get(kind)
    if (validator is None or not validator.is_valid(frame)) and frame not in _own:
        _note(frame, validator)


def sent(text: str) -> None:
    """Check the text of a frame of a client: the schema has everything that the server accepts."""
    try:
        kind = open_envelope(text).frame().type
    except Refused:
        return
    validator = _validators(closed=False)["ClientFrame"][kind]
    frame = json.loads(text)
    if not validator.is_valid(frame):
        _note(frame, validator)


def check() -> None:
    """Fail if a frame since the last check was not valid."""
    found, _invalid[:] = _invalid[:], []
    assert not found, "frames break docs/protocol.schema.json:\n" + "\n".join(found)


def _note(frame: Mapping[str, Any], validator: Any) -> None:
    """Note why a frame is wrong, for the first few: in a benchmark of an older server all may be."""
    if len(_invalid) < MOST_NOTED:
        errors = validator.iter_errors(frame) if validator else ()
        why = "; ".join(f"{'/'.join(map(str, each.instance_path))}: {each.message}" for each in errors)
        _invalid.append(f"{why[:500] or 'an unknown type'} in {json.dumps(frame, ensure_ascii=False)[:500]}")


@cache
def _validators(*, closed: bool) -> dict[str, dict[str, Any]]:
    """Return a validator for each type of frame, by direction. With `closed`, fields that are not named are wrong."""
    definitions = json.loads(_SCHEMA.read_text())["$defs"]
    if closed:
        for definition in definitions.values():
            if "properties" in definition and "allOf" not in definition:
                definition["additionalProperties"] = False

    def validator(name: str) -> Any:
        return jsonschema_rs.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": definitions})

    found = {"ClientFrame": {}, "ServerFrame": {"GatewayError": validator("GatewayError")}}
    for direction, of_direction in found.items():
        for each in definitions[direction]["oneOf"]:
            name = each["$ref"].removeprefix("#/$defs/")
            of_direction[definitions[name]["properties"]["type"]["const"]] = validator(name)
    return found
