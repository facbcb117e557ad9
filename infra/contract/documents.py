"""The documents of the contract, by the names of their files in `docs`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from infra.contract.asyncapi import asyncapi
from infra.contract.openapi import openapi
from infra.contract.schema import json_schema

DOCS = Path(__file__).parents[2] / "docs"

DOCUMENTS: dict[str, Callable[[], dict[str, Any]]] = {
    "protocol.schema.json": json_schema,
    "asyncapi.json": asyncapi,
    "openapi.json": openapi,
}


def text_of(name: str) -> str:
    """Return the text of a document, made from the code as it is now."""
    return json.dumps(DOCUMENTS[name](), ensure_ascii=False, indent=2) + "\n"


def committed(name: str) -> dict[str, Any]:
    """Return a document as it was written last."""
    content: dict[str, Any] = json.loads((DOCS / name).read_text())
    return content
