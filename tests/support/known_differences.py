"""The known differences of DynamoDB engines, by kind of request (tests/support/generated_requests.py)."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.comparison import Difference


@dataclass(frozen=True)
class Unlike:
    """An answer of Dynoxide's and AWS's own."""

    dynoxide: str
    aws: str


REFUSES = "refuses it"

DYNOXIDE_UNLIKE_AWS = {
    "put: an attribute without a name": Unlike("stores it", REFUSES),
    "key: a name of a table that is none": Unlike("`ResourceNotFoundException` for a name of one character", REFUSES),
    "condition: an unknown function": Unlike("takes `Attribute_exists` for `attribute_exists`", REFUSES),
    "filter: an attribute compared with itself": Unlike("compares it", REFUSES),
    "filter: BETWEEN the wrong way round": Unlike("finds nothing", REFUSES),
    "filter: BETWEEN two types": Unlike("finds nothing", REFUSES),
    "filter: attribute_type that is none": Unlike("finds nothing", REFUSES),
    "update: an element beyond the end": Unlike("fills the gap with `NULL`", "appends the element"),
    "query: from a key of another partition on": Unlike("takes the sort key of it", REFUSES),
    "transaction: two actions in one": Unlike("takes one of them", REFUSES),
}
"""docs/emulator/databases.md lists them. What DynamoDB Local answers is AWS's here, and so are the errors' messages."""

LOCAL_UNLIKE_AWS = {
    "transaction: a sum of what is no number": "refuses the request; AWS cancels the transaction",
    "units: BatchGetItem": "counts nothing for an item that there is not",
    "units: ExecuteStatement": "counts nothing",
    "units: Query": "counts nothing for a query that finds nothing",
    "units: Scan": "counts the whole items in an index",
    "units: TransactWriteItems": "counts 4 for a small item, and for three",
}
"""What DynamoDB Local answers unlike AWS, and Dynoxide as AWS."""

MOTO_UNLIKE_DYNOXIDE = {
    Difference.TAKES: (
        "batch: 26 writes",
        "batch: an item twice",
        "batch: empty",
        "condition: a value that is not used",
        "condition: empty",
        "condition: that fails",
        "filter: begins_with with a number",
        "index: a filter by what it lacks",
        "index: a projection of what it lacks",
        "key: of an index, of another type",
        "key: of another type, to get",
        "projection: overlapping paths",
        "projection: what there is not",
        "put: 39 digits",
        "put: a number in a set twice, in two spellings",
        "put: a number out of range",
        "put: an attribute of two types",
        "put: an element of a set twice",
        "put: too many levels",
        "query: BETWEEN the wrong way round",
        "query: a filter on the key",
        "query: a key of another type",
        "query: a value that is not used",
        "query: two conditions on the sort key",
        "transaction: empty",
    ),
    Difference.REFUSES: (
        "filter: size of a number",
        "filter: size of what some lack",
        "projection: below a name",
        "transaction: two actions in one",  # moto is right
    ),
    Difference.FAILS: (
        "condition: a name that is not defined",
        "condition: a value that is not defined",
        "condition: an unknown function",
        "condition: not whole",
        "filter: BETWEEN two types",
        "filter: n < a text",
        "filter: n <= a text",
        "filter: n > a text",
        "filter: n >= a text",
        "partiql: what is none",
        "put: an attribute of an unknown type",
        "put: an attribute of no type",
        "query: <> on the sort key",
        "query: IN on the sort key",
        "query: OR",
        "query: a limit of 0",
        "query: a sort key of another type",
        "update: a name that is not defined",
        "update: no expression",
    ),
    Difference.OTHERWISE: (
        "filter: begins_with on binary",
        "filter: two attributes",
        "index: that there is not",
        "key: a name of a table that is none",
        "partiql: a select",
        "projection: elements of a list",
        "projection: in TransactGetItems",
        "put: a number with an exponent",
        "put: a number with zeros at its end",
        "put: a number with zeros before it",
        "put: an attribute without a name",
        "query: a page",
        "query: from a key of another partition on",
        "scan: a limit",
        "transaction: a key of another type",
        "transaction: a sum of what is no number",
        "update: UPDATED_NEW",
        "update: UPDATED_OLD",
        "update: an element beyond the end",  # neither is right: moto puts it nowhere
    ),
    Difference.UNITS: (
        "units: BatchGetItem",
        "units: BatchWriteItem",
        "units: ExecuteStatement",
        "units: Query",
        "units: Scan",
        "units: TransactGetItems",
    ),
}
"""What moto answers unlike Dynoxide. Dynoxide is right, except where a comment or the first table says so."""
