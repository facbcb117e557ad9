"""The check of all frames of the tests."""

import json

import pytest

from infra.contract import examples
from tests.support import contract

PONG = {"type": "pong", "data": {"serverTime": "2026-11-23T12:00:00.000Z"}}


def found(call, *given):
    """Return what the check says of a call, and nothing if it passes."""
    call(*given)
    try:
        contract.check()
    except AssertionError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        ({"type": "pong", "data": {}}, '"serverTime" is a required property'),
        ({"type": "pong", "data": PONG["data"] | {"more": 1}}, "Additional properties are not allowed"),
        (PONG | {"requestId": "x" * 65}, "requestId: "),
        ({"type": "surprise", "data": {}}, "an unknown type"),
        ({"message": "Forbidden"}, '"connectionId" is a required property'),
    ],
    ids=["a field is missing", "a field too many", "a long id", "another type", "of the gateway"],
)
def test_a_wrong_frame_of_the_server_is_found_once(frame, why):
    assert why in found(contract.received, frame)
    contract.check()


@pytest.mark.parametrize("frame", [PONG, {**PONG, "requestId": "1"}, examples.GATEWAY[0].frame])
def test_a_right_one_is_not(frame):
    assert not found(contract.received, frame)


def test_a_frame_of_a_test_itself_may_be_anything():
    assert not found(contract.received, contract.own({"type": "its own"}))


def test_a_frame_that_the_server_refuses_is_not_looked_at():
    assert not found(contract.sent, '{"type": "message", "data": {"message": 5}}')
    assert not found(contract.sent, "no JSON")


@pytest.mark.parametrize("example", examples.CLIENT, ids=lambda example: example.summary)
def test_the_server_accepts_every_example(example):
    assert not found(contract.sent, json.dumps(example.frame))
