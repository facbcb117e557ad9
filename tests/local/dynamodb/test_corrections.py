"""Answers of Dynoxide's that the emulator corrects. tests/local/dynamodb/test_differences.py compares all others."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley.dynamodb.dynoxide import corrections

TABLE = {
    "AttributeDefinitions": [
        {"AttributeName": "chat", "AttributeType": "S"},
        {"AttributeName": "at", "AttributeType": "N"},
        {"AttributeName": "user", "AttributeType": "S"},
    ],
    "KeySchema": [{"AttributeName": "chat", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-user",
            "KeySchema": [{"AttributeName": "user", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["title"]},
        },
        {
            "IndexName": "whole",
            "KeySchema": [{"AttributeName": "user", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        },
    ],
}
TEXT, NUMBER = {"S": "1"}, {"N": "1"}


@pytest.mark.parametrize(
    ("condition", "values", "refused"),
    [
        ("chat = :c", {":c": TEXT}, False),
        ("chat = :c", {":c": NUMBER}, True),
        ("#c=:c AND #a>:a", {":c": TEXT, ":a": NUMBER}, False),
        ("#c=:c AND #a>:a", {":c": TEXT, ":a": TEXT}, True),
        ("#c = :c and #a between :a and :b", {":c": TEXT, ":a": NUMBER, ":b": NUMBER}, False),
        ("#c = :c and #a between :a and :b", {":c": TEXT, ":a": NUMBER, ":b": TEXT}, True),
        ("(chat = :c) AND begins_with ( #a , :a )", {":c": TEXT, ":a": TEXT}, True),
        ("chat = :c", {}, False),  # the engine refuses it
    ],
)
def test_a_key_is_compared_with_its_own_type(condition, values, refused):
    names = {"#c": "chat", "#a": "at"}
    request = {
        "KeyConditionExpression": condition,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
    }
    assert corrections.needs_description("Query", request)
    message = corrections.refusal(request, TABLE)
    assert message == (
        "One or more parameter values were invalid: Condition parameter type does not match schema type"
        if refused
        else None
    )


@pytest.mark.parametrize(
    ("expression", "missing"),
    [
        ("title = :t AND attribute_exists(#u) OR NOT chat IN (:t, :u)", ""),
        ("contains(body, :t)", "body"),
        ("title.inner.body[0] = :t AND size(#b) > :n AND tags[1].title = :t", "body, tags"),
    ],
)
def test_a_global_index_is_asked_for_what_it_holds(expression, missing):
    names = {"#u": "user", "#b": "body"}
    asked = {"IndexName": "by-user", "ExpressionAttributeNames": names}
    filtered = corrections.refusal({**asked, "FilterExpression": expression}, TABLE)
    assert (filtered or "").partition("[")[2].rstrip("]") == missing
    assert corrections.refusal({**asked, "IndexName": "whole", "FilterExpression": expression}, TABLE) is None
    projected = corrections.refusal({**asked, "ProjectionExpression": "title, #b[0].title, at"}, TABLE)
    assert projected == (
        "One or more parameter values were invalid: Global secondary index by-user does not project [body]"
    )


@pytest.mark.parametrize(
    ("expression", "ordered"),
    [
        ("REMOVE l[0], l[2]", "REMOVE l[2], l[0]"),
        ("SET a = :v REMOVE l[1], b, l[10] ADD n :v", "SET a = :v REMOVE b, l[10], l[1] ADD n :v"),
        ("remove #m.l[0], #m.l[2].x", "remove #m.l[2].x, #m.l[0]"),
        ("SET removed = :v, l[0] = :w", "SET removed = :v, l[0] = :w"),
    ],
)
def test_elements_are_removed_from_the_end_on(expression, ordered):
    changed = corrections.with_ordered_removals({"UpdateExpression": expression})
    assert changed == {"UpdateExpression": ordered}
    within = {"TransactItems": [{"Update": {"UpdateExpression": expression}}]}
    assert corrections.with_ordered_removals(within) == {"TransactItems": [{"Update": {"UpdateExpression": ordered}}]}


def test_an_expression_over_4_kb_is_left_to_the_engine():
    """It refuses it. The patterns would take seconds for one of 70 KB."""
    spaces = " " * 4096
    asked = {"ExpressionAttributeValues": {":c": NUMBER}, "IndexName": "by-user"}
    for parameter, expression in (("KeyConditionExpression", "chat = :c"), ("FilterExpression", "body = :c")):
        assert corrections.refusal({**asked, parameter: expression}, TABLE)
        assert corrections.refusal({**asked, parameter: expression + spaces}, TABLE) is None
    removal = {"UpdateExpression": "REMOVE l[0], l[1]" + spaces}
    assert corrections.with_ordered_removals(removal) == removal


def test_tables_may_be_named_by_arn():
    arn = "arn:aws:dynamodb:us-east-1:000000000000:table/Chats"
    request = {"TableName": arn, "RequestItems": {arn: 1, "Other": 2}, "TransactItems": [{"Put": {"TableName": arn}}]}
    assert corrections.with_names(request) == {
        "TableName": "Chats",
        "RequestItems": {"Chats": 1, "Other": 2},
        "TransactItems": [{"Put": {"TableName": "Chats"}}],
    }


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["", "#a", ":v", "REMOVE l[0], l[1]", "chat = :c", "arn:aws:dynamodb:x"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["Update", "Get", ":c", "#a", "S"]), inner, max_size=2)
    ),
    max_leaves=5,
)
PARAMETERS = (
    *("TableName", "TransactItems", "RequestItems", "UpdateExpression", "KeyConditionExpression", "FilterExpression"),
    *("ExpressionAttributeNames", "ExpressionAttributeValues", "Segment", "TotalSegments", "IndexName"),
)


@given(
    st.sampled_from(["Query", "Scan", "UpdateItem", "TransactWriteItems", "TransactGetItems"]),
    st.dictionaries(st.sampled_from(PARAMETERS), JSON),
)
def test_what_is_no_request_is_left_to_the_engine(operation, request):
    body = json.dumps(request).encode()
    changed, sent = corrections.corrected(operation, request, body)
    assert json.loads(sent) == changed
    if corrections.needs_description(operation, changed):
        corrections.refusal(changed, TABLE)


def test_a_request_that_needs_nothing_is_sent_as_it_came():
    body = b'{"TableName": "t",  "Key": {"id": {"L": []}}}'
    request = json.loads(body)
    assert corrections.corrected("UpdateItem", request, body) == (request, body)


def test_segment_0_is_the_whole_table_and_the_others_are_empty():
    scan = {"TableName": "t", "TotalSegments": 3, "Limit": 9, "Segment": 0}
    assert corrections.corrected("Scan", scan, b"")[0] == {"TableName": "t", "Limit": 9}
    other = {**scan, "Segment": 2}
    assert corrections.corrected("Scan", other, b"")[0] == {"TableName": "t", "Limit": 1}
    found = {"Items": [{}], "Count": 1, "ScannedCount": 1, "LastEvaluatedKey": {}}
    empty = {"Items": [], "Count": 0, "ScannedCount": 0}
    assert json.loads(corrections.corrected_answer("Scan", other, json.dumps(found).encode())) == empty
    assert json.loads(corrections.corrected_answer("Scan", scan, json.dumps(found).encode())) == found
    impossible = {**scan, "Segment": 3}
    assert corrections.corrected("Scan", impossible, b"")[0] == impossible
