"""The documents of the HTTP API: OpenAPI, which describes it, and AsyncAPI, which it serves."""

import json
from pathlib import Path

import pytest

from tests.support.http_api import request

DOCS = Path(__file__).parents[3] / "docs"


def test_the_document_names_every_operation_and_gives_examples():
    document = request("GET", "/openapi.json").json
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids)) == 24
    for operation in operations:
        if operation["operationId"] not in ("health", "asyncapi"):
            assert {"401", "422", "429", "500"} <= operation["responses"].keys(), operation["operationId"]
            assert operation["security"] == [{"HTTPBearer": []}]
            assert operation["description"]


def test_the_document_describes_every_field_and_every_parameter():
    document = request("GET", "/openapi.json").json
    fields = [
        (f"{name}.{key}", field)
        for name, schema in document["components"]["schemas"].items()
        for key, field in schema.get("properties", {}).items()
        if "$ref" not in field
    ]
    parameters = [
        (f"{operation['operationId']} {parameter['name']}", parameter)
        for path in document["paths"].values()
        for operation in path.values()
        for parameter in operation.get("parameters", ())
    ]
    assert [name for name, described in (*fields, *parameters) if not described.get("description")] == []
    tagged = {tag for path in document["paths"].values() for operation in path.values() for tag in operation["tags"]}
    assert tagged == {tag["name"] for tag in document["tags"]}


@pytest.mark.parametrize("name", ["openapi.json", "asyncapi.json"])
def test_each_document_is_the_committed_one_and_takes_no_token(name):
    answer = request("GET", f"/{name}")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json == json.loads((DOCS / name).read_text())
