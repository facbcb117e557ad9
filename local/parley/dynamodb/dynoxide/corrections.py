"""Corrections of what Dynoxide answers unlike AWS, where applications meet it.

All that is known to differ is in docs/emulator/databases.md. These are here because an application that works locally
would fail on AWS, or the other way round:

- a query whose key has another type than the table says finds nothing; AWS refuses it;
- a filter or a projection with attributes that a global index does not hold finds nothing; AWS refuses it;
- `TransactGetItems` with a projection returns the key, too;
- a scan of a segment finds nothing after a start key whose item is gone; so here segment 0 is the whole table, in the
  order of a scan without segments, and the others are empty (AWS promises no more than that each item is in one);
- `REMOVE list[0], list[2]` removes the wrong second element, for the first has moved it;
- the ARN of a table is not taken in the place of its name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_WRONG_TYPE = "One or more parameter values were invalid: Condition parameter type does not match schema type"
_NOT_FILTERED = (
    "One or more parameter values were invalid: Secondary Index {} does not project one or more filter attributes: [{}]"
)
_NOT_PROJECTED = "One or more parameter values were invalid: Global secondary index {} does not project [{}]"

_COMPARED = re.compile(
    r"(#?\w+)\s*(?:=|<=?|>=?)\s*(:\w+)"
    r"|(#?\w+)\s+BETWEEN\s+(:\w+)\s+AND\s+(:\w+)"
    r"|begins_with\s*\(\s*(#?\w+)\s*,\s*(:\w+)",
    re.IGNORECASE,
)
_FIRST_NAME = re.compile(r"(?<![.\w:#])#?[A-Za-z_]\w*(?!\w|\s*\()|(?<![.\w:#])#\w+")
"""A name at the beginning of a path, and no function."""

_WORDS = frozenset(("AND", "OR", "NOT", "BETWEEN", "IN"))
_REMOVE = re.compile(r"(\bREMOVE\s+)([^=()]*?)(\s+(?:SET|ADD|DELETE)\b|\s*$)", re.IGNORECASE)
_MAX_SEGMENTS = 1_000_000
_MAX_EXPRESSION = 4096
_TABLE_ARN = re.compile(r"arn:aws:dynamodb:[\w-]*:\d*:table/([^/]+)")

Request = dict[str, Any]
Description = Mapping[str, Any]
"""A table as `DescribeTable` describes it."""


def corrected(operation: str, request: Request, body: bytes) -> tuple[Request, bytes]:
    """Return a request and its body as the engine must get them: the same ones if nothing is to be corrected."""
    changed = request
    if b'"arn:aws:dynamodb:' in body:
        changed = with_names(changed)
    if operation in ("UpdateItem", "TransactWriteItems") and b"]" in body:
        changed = with_ordered_removals(changed)
    if is_of_a_segment(operation, request):
        changed = without_segment(changed)
    return (request, body) if changed == request else (changed, json.dumps(changed).encode())


def corrected_answer(operation: str, request: Request, content: bytes) -> bytes:
    """Return the body of an answer to a request, as the caller has sent that one, with what AWS would answer."""
    if operation == "TransactGetItems" and b"ProjectionExpression" in json.dumps(request).encode():
        return json.dumps(projected(request, json.loads(content))).encode()
    if is_of_a_segment(operation, request) and request["Segment"]:
        answer = {name: value for name, value in json.loads(content).items() if name != "LastEvaluatedKey"}
        return json.dumps(
            {**answer, "Count": 0, "ScannedCount": 0} | ({"Items": []} if "Items" in answer else {})
        ).encode()
    return content


def needs_description(operation: str, request: Request) -> bool:
    """Return whether `refusal` depends on what the table of a request is like."""
    return (operation == "Query" and "KeyConditionExpression" in request) or (
        operation in ("Query", "Scan") and "IndexName" in request
    )


def refusal(request: Request, table: Description) -> str | None:
    """Return the message with which AWS refuses a query or a scan that Dynoxide takes; None if it takes it, too."""
    if any(_wrong_types(request, table)):
        return _WRONG_TYPE
    index = next(
        (each for each in table.get("GlobalSecondaryIndexes", ()) if each["IndexName"] == request.get("IndexName")),
        None,
    )
    if index is None or index["Projection"]["ProjectionType"] == "ALL":
        return None
    held = {key["AttributeName"] for key in (*table["KeySchema"], *index["KeySchema"])}
    held.update(index["Projection"].get("NonKeyAttributes", ()))
    for parameter, message in (("FilterExpression", _NOT_FILTERED), ("ProjectionExpression", _NOT_PROJECTED)):
        missing = [name for name in _top_names(parameter, request) if name not in held]
        if missing:
            return message.format(index["IndexName"], ", ".join(dict.fromkeys(missing)))
    return None


def _wrong_types(request: Request, table: Description) -> Iterator[str]:
    """Return the names of keys that a condition compares with a value of another type."""
    types = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
    values = _mapping(request.get("ExpressionAttributeValues"))
    for found in _COMPARED.finditer(_expression("KeyConditionExpression", request)):
        name, *compared = filter(None, found.groups())
        wanted = types.get(_resolved(name, request))
        for value in compared:
            if wanted and isinstance(values.get(value), dict) and wanted not in values[value]:
                yield name


def _expression(parameter: str, request: Request) -> str:
    """Return an expression of a request; an empty text if it is none, or longer than 4 KB: the engine refuses it then.

    The patterns here take a time that grows with the square of the length.
    """
    expression = request.get(parameter)
    return expression if isinstance(expression, str) and len(expression) <= _MAX_EXPRESSION else ""


def _top_names(parameter: str, request: Request) -> list[str]:
    found = _FIRST_NAME.findall(_expression(parameter, request))
    return [_resolved(name, request) for name in found if name.upper() not in _WORDS]


def _resolved(name: str, request: Request) -> str:
    return str(_mapping(request.get("ExpressionAttributeNames")).get(name, name))


def _mapping(value: Any) -> Mapping[str, Any]:
    """Return a part of a request that should be an object. If it is none, the engine reports that to the caller."""
    return value if isinstance(value, dict) else {}


def _with_parts(request: Request, change: Callable[[Request], Request]) -> Request:
    """Return a transaction with each of its parts changed."""
    items = request.get("TransactItems")
    if not isinstance(items, list):
        return request
    changed = [
        {action: change(part) if isinstance(part, dict) else part for action, part in item.items()}
        if isinstance(item, dict)
        else item
        for item in items
    ]
    return {**request, "TransactItems": changed}


def projected(request: Request, answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer to `TransactGetItems` with the attributes that each part asks for, and no others."""
    responses = []
    for part, response in zip(request["TransactItems"], answer["Responses"], strict=True):
        get = part["Get"]
        if "ProjectionExpression" in get and response.get("Item"):
            wanted = set(_top_names("ProjectionExpression", get))
            item = {name: value for name, value in response["Item"].items() if name in wanted}
            response = {**response, "Item": item}
        responses.append(response)
    return {**answer, "Responses": responses}


def is_of_a_segment(operation: str, request: Request) -> bool:
    """Return whether a request is a scan of a segment that there can be. The engine refuses others."""
    segment, total = request.get("Segment"), request.get("TotalSegments")
    return (
        operation == "Scan"
        and isinstance(segment, int)
        and isinstance(total, int)
        and 0 <= segment < total <= _MAX_SEGMENTS
    )


def without_segment(request: Request) -> Request:
    """Return a scan of a segment as one of the whole table; for an empty segment, as one that reads little."""
    changed = {name: value for name, value in request.items() if name not in ("Segment", "TotalSegments")}
    return changed | ({"Limit": 1} if request["Segment"] else {})


def with_ordered_removals(request: Request) -> Request:
    """Return a request whose updates remove the elements of a list from its end on, so that none moves another."""
    changed = {**request}
    if expression := _expression("UpdateExpression", request):
        changed["UpdateExpression"] = _REMOVE.sub(_ordered, expression)
    return _with_parts(changed, with_ordered_removals)


def _ordered(clause: re.Match[str]) -> str:
    paths = sorted((path.strip() for path in clause[2].split(",")), key=_place)
    return f"{clause[1]}{', '.join(paths)}{clause[3]}"


def _place(path: str) -> list[tuple[int, str]]:
    """Return a key by which elements of a list are sorted from its end on."""
    return [(-int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"[.\[\]]+", path) if part]


def with_names(request: Request) -> Request:
    """Return a request with the name of each table that it names by ARN."""
    changed = {**request}
    if isinstance(request.get("TableName"), str):
        changed["TableName"] = _name(request["TableName"])
    if isinstance(request.get("RequestItems"), dict):
        changed["RequestItems"] = {_name(table): each for table, each in request["RequestItems"].items()}
    return _with_parts(changed, with_names)


def _name(table: str) -> str:
    found = _TABLE_ARN.fullmatch(table)
    return found[1] if found else table
