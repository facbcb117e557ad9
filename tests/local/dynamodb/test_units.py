"""Units of every request: asked for on the way to the engine, and shown only to who asked."""

import json

from hypothesis import given
from hypothesis import strategies as st
from parley.dynamodb.dynoxide.units import asks, is_metered, units_in, with_units_asked, without_units

NAMES = st.sampled_from(["ConsumedCapacity", "TableName", "CapacityUnits", "n"]) | st.text(max_size=5)
TEXTS = st.sampled_from(['"ConsumedCapacity":{"TableName":"t","CapacityUnits":9.0}', "]}", "{", '\\"']) | st.text(
    max_size=9
)
VALUES = st.recursive(
    st.builds(lambda text: {"S": text}, TEXTS),
    lambda inner: (
        st.builds(lambda each: {"M": each}, st.dictionaries(NAMES, inner, max_size=3))
        | st.builds(lambda each: {"L": each}, st.lists(inner, max_size=3))
    ),
    max_leaves=6,
)
ITEMS = st.dictionaries(NAMES, VALUES, max_size=4)
CONSUMED = st.sampled_from(
    [
        {"TableName": "t", "CapacityUnits": 1.5},
        [
            {"TableName": "t", "CapacityUnits": 1.0, "WriteCapacityUnits": 1.0},
            {"TableName": "u-2", "CapacityUnits": 2.5},
        ],
        [],
    ]
)


def compact(answer: object) -> bytes:
    """Write an answer as the engine does."""
    return json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode()


def total(consumed):
    return sum(each["CapacityUnits"] for each in (consumed if isinstance(consumed, list) else [consumed]))


@given(st.lists(ITEMS, max_size=3), CONSUMED, st.sampled_from(["first", "last", "only"]))
def test_an_answer_loses_its_units_and_nothing_else(items, consumed, place):
    rest = {} if place == "only" else {"Items": items, "Count": len(items)}
    units = {"ConsumedCapacity": consumed}
    answer = compact(units | rest if place == "first" else rest | units)

    shown, found = without_units(answer)

    assert json.loads(shown) == rest
    assert found == total(consumed) == units_in(answer)


@given(st.lists(ITEMS, max_size=3))
def test_an_answer_without_units_stays_as_it_is(items):
    answer = compact({"Items": items})
    assert without_units(answer) == (answer, None)
    assert units_in(answer) is None


@given(st.dictionaries(st.sampled_from(["TableName", "Key", "Item"]), ITEMS, max_size=2), st.sampled_from(["", " \n"]))
def test_a_request_asks_and_keeps_everything_else(request, space):
    body = json.dumps(request).encode() + space.encode()
    assert not asks(request)
    assert json.loads(with_units_asked(request, body)) == {**request, "ReturnConsumedCapacity": "TOTAL"}


def test_a_request_that_wants_none_asks_too():
    request = {"ReturnConsumedCapacity": "NONE", "TableName": "t"}
    assert not asks(request)
    assert json.loads(with_units_asked(request, b"unused")) == {**request, "ReturnConsumedCapacity": "TOTAL"}


def test_only_requests_that_consume_capacity_can_ask():
    assert [name for name in ("GetItem", "TransactWriteItems", "CreateTable", "") if is_metered(name)] == [
        "GetItem",
        "TransactWriteItems",
    ]
