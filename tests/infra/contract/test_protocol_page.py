"""`docs/protocol.md` and the schema have the same frames, fields, values and codes."""

import re

import pytest

from handlers.chat.errors import ErrorCode
from handlers.chat.protocol.frames import PROTOCOL
from infra.contract.documents import DOCS, committed

PAGE = (DOCS / "protocol.md").read_text()
HTTP_PAGE = (DOCS / "http-api.md").read_text()
DEFINITIONS = committed("protocol.schema.json")["$defs"]


def words(page):
    """Return the words of a page that stand in code."""
    return {word for code in re.findall(r"`([^`\n]+)`", page) for word in re.findall(r"\w+", code)}


def types(direction):
    names = [each["$ref"].removeprefix("#/$defs/") for each in DEFINITIONS[direction]["oneOf"]]
    return {DEFINITIONS[name]["properties"]["type"]["const"] for name in names}


@pytest.mark.parametrize(
    ("heading", "direction"), [("Client to server", "ClientFrame"), ("Server to client", "ServerFrame")]
)
def test_the_tables_have_every_type_and_no_other(heading, direction):
    rows = re.findall(r"^\| `(\w+)` \|", PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0], re.MULTILINE)
    assert {row for row in rows if row in types("ClientFrame") | types("ServerFrame")} == types(direction)


def test_it_names_every_field():
    fields = {field for definition in DEFINITIONS.values() for field in definition.get("properties", {})}
    assert sorted(fields - words(PAGE)) == []


def test_it_names_every_value():
    values = {value for definition in DEFINITIONS.values() for value in definition.get("enum", ())}
    kinds = {
        DEFINITIONS[each["$ref"].rpartition("/")[2]]["properties"]["kind"]["const"]
        for each in DEFINITIONS["Part"]["oneOf"]
    }
    assert sorted((values - set(ErrorCode) | kinds) - words(PAGE)) == []


def test_the_pages_name_every_code():
    assert sorted(set(ErrorCode) - words(PAGE) - words(HTTP_PAGE)) == []


def test_the_table_of_errors_has_only_codes_that_exist():
    table = PAGE.partition("\n## Errors\n")[2].partition("\n### ")[0]
    codes = {
        code for row in table.splitlines() for code in re.findall(r"`(\w+)`", row.split("|")[1] if "|" in row else "")
    }
    assert codes <= set(ErrorCode)
    assert len(codes) > 15


def test_it_has_the_version():
    assert f"It is {PROTOCOL} here." in PAGE
    assert f"\n| {PROTOCOL} |" in PAGE
