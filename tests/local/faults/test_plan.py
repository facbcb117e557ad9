"""The fault plan: when it strikes, and which plans it refuses."""

import json

import pytest
from parley.faults.plan import Fault, Plan, PlanError


def plan(*faults, seed=0):
    return Plan.of(json.dumps({"seed": seed, "faults": list(faults)}).encode())


def strikes(plan, opportunities, point="post", subject="c1= hello"):
    return [plan.at(point, subject) is not None for _ in range(opportunities)]


def test_a_fault_strikes_once_at_the_first_opportunity():
    assert strikes(plan({"point": "post", "do": "429"}), 3) == [True, False, False]


def test_a_fault_strikes_at_the_nth_and_so_many_times():
    assert strikes(plan({"point": "post", "do": "429", "nth": 2, "times": 2}), 5) == [False, True, True, False, False]
    assert strikes(plan({"point": "post", "do": "429", "nth": 3, "times": None}), 5) == [False, False, True, True, True]


def test_only_what_matches_is_an_opportunity():
    planned = plan({"point": "post", "do": "429", "match": ["c1=", "hello"]})
    assert planned.at("post", "c2= hello") is None
    assert planned.at("store", "c1= hello") is None
    assert planned.at("post", "c1= hello") == Fault("post", "429", ("c1=", "hello"))


def test_the_first_of_two_wins_and_both_count():
    planned = plan({"point": "post", "do": "429"}, {"point": "post", "do": "500", "times": 2})
    assert [planned.at("post", "").do for _ in range(2)] == ["429", "500"]
    assert [fault["hits"] for fault in planned.report()["faults"]] == [1, 1]


def test_chance_follows_the_seed():
    fault = {"point": "post", "do": "429", "times": None, "chance": 0.5}
    first, again, other = (strikes(plan(fault, seed=seed), 50) for seed in (1, 1, 2))
    assert first == again != other
    assert 10 < sum(first) < 40


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"{", "not JSON"),
        (b"[]", "object of seed and faults"),
        (b'{"seed": "x"}', "whole number"),
        (b'{"faults": [7]}', "A fault is an object"),
        (b'{"faults": [{"point": "post"}]}', "lacks"),
        (b'{"faults": [{"point": "moon", "do": "429"}]}', "no point 'moon'"),
        (b'{"faults": [{"point": "post", "do": "conflict"}]}', "cannot be done at post"),
        (b'{"faults": [{"point": "post", "do": "429", "nth": 0}]}', "nth"),
        (b'{"faults": [{"point": "post", "do": "429", "chance": 2}]}', "chance"),
        (b'{"faults": [{"point": "post", "do": "429", "match": 7}]}', "match"),
        (b'{"faults": [{"point": "post", "do": "429", "often": 7}]}', "A fault is an object"),
    ],
)
def test_a_plan_that_cannot_be_used_is_refused(text, said):
    with pytest.raises(PlanError, match=said):
        Plan.of(text)
