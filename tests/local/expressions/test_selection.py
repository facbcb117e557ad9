"""JSONPath and selection expressions, by API Gateway's page "WebSocket selection expressions"."""

import pytest
from parley.expressions.jsonpath import JsonPath
from parley.expressions.selection import SelectionExpression, json_document, route_selection_problem, text_of
from parley.gateway.websocket.route_selection import RouteSelector

DOCUMENT = {
    "action": "join",
    "items": [{"kind": "a", "n": 1}, {"kind": "b", "n": 2}, {"kind": "c"}],
    "a b": {"it's": "odd"},
    "0": "zero",
    "data": {"room": "r1", "kind": "deep"},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", DOCUMENT),
        ("$.action", "join"),
        ("action", "join"),
        ("$['action']", "join"),
        ('$["data"].room', "r1"),
        ("$.['data']['room']", "r1"),
        (r"$['a b']['it\'s']", "odd"),
        ("$.a b", {"it's": "odd"}),
        ("$.0", "zero"),
        ("$.items[0].kind", "a"),
        ("$.items[-1].kind", "c"),
        ("$.items[ 1 ].n", 2),
        ("$.items[3]", None),
        ("$.action.x", None),
        ("$.action[0]", None),
        ("$[0]", None),
        ("$.items[*].n", [1, 2]),
        ("$.items[0:2].kind", ["a", "b"]),
        ("$.items[-1:].kind", ["c"]),
        ("$.data.*", ["r1", "deep"]),
        ("$..kind", ["a", "b", "c", "deep"]),
        ("$.nothing[*]", []),
    ],
)
def test_a_path_selects_a_value(path, found):
    assert JsonPath(path if path.startswith("$") else f"$.{path}").find(DOCUMENT) == found


@pytest.mark.parametrize(
    "path", ["$.", "$.a.", "$.a..", "$a", "$.a[", "$.a[]", "$.a[?(@.b)]", "$['a','b']", "$.a.length()", "$.a[0]b"]
)
def test_an_invalid_path_is_refused(path):
    with pytest.raises(ValueError, match="not understood"):
        JsonPath(path)


@pytest.mark.parametrize(
    ("expression", "key"),
    [
        ("$request.body.action", "join"),
        ("${request.body.action}", "join"),
        ("${request.body.data.room}/${request.body.action}", "r1/join"),
        ("${request.body.action}-${request.body.invalidPath}", "join-"),
        ("${request.body.action}-beta", "join-beta"),
        ("action", "action"),
        (r"\$default", "$default"),
        (r"\${request.body.action}", "${request.body.action}"),
        ("", ""),
        ("$request.body['action']", "join"),
        ("$request.body.items[*].n", "[1, 2]"),
        ("$request.body.data", '{"room": "r1", "kind": "deep"}'),
    ],
)
def test_what_an_expression_comes_to(expression, key):
    assert SelectionExpression(expression).evaluate({"request": {"body": DOCUMENT}}) == key


def test_the_value_of_a_variable_is_not_evaluated_again():
    document = {"request": {"body": {"a": "${request.body.b}", "b": "secret"}}}
    assert SelectionExpression("${request.body.a}").evaluate(document) == "${request.body.b}"


@pytest.mark.parametrize(
    ("value", "text"),
    [(5, "5"), (1.5, "1.5"), (True, "true"), (None, ""), ("é", "é"), ({"é": None}, '{"é": null}'), ([], "[]")],
)
def test_values_become_text(value, text):
    assert text_of(value) == text


@pytest.mark.parametrize(
    "body", ['{"action": NaN}', '{"action": -Infinity}', "[" * 200_000, "1" * 5_000, "{", "\ud800"]
)
def test_a_body_that_is_not_json_has_no_key_and_raises_nothing(body):
    assert RouteSelector("$request.body.action").key(body) is None
    with pytest.raises(ValueError, match=r"."):
        json_document(body)


def test_a_body_nested_as_deep_as_json_can_be_read_has_a_key_or_none():
    body = '{"action": ' + "[" * 900 + "]" * 900 + "}"
    assert RouteSelector("$request.body.action").route(body, {"$default"}) == "$default"


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("$request.body.a[", "not understood"),
        ("${request.body.a", "needs braces"),
        ("a/$request.body.a", "needs braces"),
        ("$request.header.x", "request.header.x"),
        ("$context.routeKey", "context.routeKey"),
        ("$request.body", "request.body"),
        ("$request.body.a[?(@.b)]", "not understood"),
        ("$request.body.a/$request.body.b", "not understood"),
    ],
)
def test_an_expression_that_cannot_select_routes_is_told_with_its_reason(expression, told):
    assert told in route_selection_problem(expression)
    assert RouteSelector(expression).key("{}") == expression


@pytest.mark.parametrize(
    "expression", ["$request.body.a", "${request.body['a']}/x", "static", r"\$default", "$request.body[0]"]
)
def test_a_right_expression_has_no_problem(expression):
    assert route_selection_problem(expression) is None
