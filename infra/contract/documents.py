"""The documents of the contract, by the names of their files in `docs`."""

from __future__ import annotations

import json
from pathlib import Path

from infra.contract.asyncapi import asyncapi
from infra.contract.openapi import openapi
from infra.contract.schema import json_schema

DOCS = Path(__file__).parents[2] / "docs"


def documents() -> dict[str, str]:
    """Return the text of each document."""
    contents = {"protocol.schema.json": json_schema(), "asyncapi.json": asyncapi(), "openapi.json": openapi()}
    return {name: json.dumps(content, ensure_ascii=False, indent=2) + "\n" for name, content in contents.items()}
