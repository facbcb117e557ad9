"""Rules of EventBridge: schedules by a clock that the test moves, events by their patterns, and what targets get."""

from __future__ import annotations

import json

import pytest
from parley.functions.rules import Rules, UnknownRule, payload
from parley.template.model import Rule, Target
from parley.template.schedules import parse
from parley.trace import Trace

from tests.support.clock import ManualClock

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"
ARN = "arn:aws:events:us-east-1:000000000000:rule/r"


def rule(*targets, name="r", names=("r", "R", "Tick"), schedule="", **more):
    when = parse(schedule) if schedule else None
    return Rule(name, ARN, targets or (Target(FUNCTION),), when, schedule, names=names, **more)


@pytest.fixture
def running():
    """Return a function that starts rules, with the list of what they send and their clock."""
    started = []

    def start(*rules, buses=("default",)):
        sent, clock = [], ManualClock()
        made = Rules(
            rules, buses, lambda arn, body, source: sent.append((arn, json.loads(body), source)), Trace(), clock
        )
        made.start()
        started.append(made)
        return made, sent, clock

    yield start
    for each in started:
        each.stop()


async def test_a_schedule_sends_at_its_times(running):
    _, sent, clock = running(rule(schedule="rate(5 minutes)"))
    await clock.advance(299)
    assert sent == []
    await clock.advance(1)
    [(arn, event, source)] = sent
    assert (arn, source) == (FUNCTION, "The rule r")
    assert event == {
        "version": "0",
        "id": event["id"],
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "000000000000",
        "time": "2024-11-11T11:40:24Z",
        "region": "us-east-1",
        "resources": [ARN],
        "detail": {},
    }
    await clock.advance(600)
    assert len(sent) == 3


async def test_a_cron_schedule_sends_on_the_minute(running):
    made, sent, clock = running(rule(schedule="cron(0 12 * * ? *)"))
    await clock.advance(3600)
    assert [event["time"] for _, event, _ in sent] == ["2024-11-11T12:00:00Z"]
    assert made.listed()[0]["next"] == 1_731_412_800.0


async def test_times_that_passed_while_the_machine_slept_count_once(running):
    _, sent, clock = running(rule(schedule="rate(1 minute)"))
    await clock.advance(0)
    clock.now += 3600
    await clock.advance(60)
    assert len(sent) == 2


async def test_a_schedule_that_is_over_ends(running):
    made, sent, clock = running(rule(schedule="cron(0 0 1 1 ? 2020)"))
    await clock.advance(86_400)
    assert (sent, made.listed()[0]["next"]) == ([], None)


async def test_after_its_end_nothing_is_sent(running):
    made, sent, clock = running(rule(schedule="rate(1 minute)"))
    await clock.advance(60)
    made.stop()
    await clock.advance(600)
    assert len(sent) == 1


@pytest.mark.parametrize("name", ["r", "R", "Tick"])
async def test_a_schedule_may_be_triggered_by_each_of_its_names(running, name):
    made, sent, _ = running(rule(Target(FUNCTION), Target(QUEUE), schedule="rate(1 day)"))
    assert made.trigger(name) == [FUNCTION, QUEUE]
    assert [arn for arn, _, _ in sent] == [FUNCTION, QUEUE]


async def test_a_name_that_no_schedule_or_several_have_is_said(running):
    one = rule(schedule="rate(1 day)", name="a", names=("a", "A", "Tick"))
    two = rule(schedule="rate(1 day)", name="b", names=("b", "B", "Tick"))
    made, sent, _ = running(one, two, rule(pattern={"source": ["x"]}, names=("c", "C")))
    for name, said in (
        ("nothing", "No schedule has the name nothing. There are A, B."),
        ("Tick", "Several schedules have the name Tick. There are A, B."),
        ("C", "No schedule has the name C."),
    ):
        with pytest.raises(UnknownRule) as refusal:
            made.trigger(name)
        assert said in str(refusal.value)
    assert sent == []


EVENT = {"version": "0", "id": "e-1", "source": "my.app", "time": "T", "detail": {"name": 'a "b"', "n": 5, "l": [1, 2]}}


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (Target(FUNCTION), EVENT),
        (Target(FUNCTION, input='{"a": 1}'), {"a": 1}),
        (Target(FUNCTION, input="text"), "text"),
        (Target(FUNCTION, path="$.detail"), EVENT["detail"]),
        (Target(FUNCTION, path="$.detail.l[1]"), 2),
        (Target(FUNCTION, path="$.nowhere.x"), None),
        (Target(FUNCTION, path=f"$.detail.l[{'9' * 5000}]"), None),
        (
            Target(FUNCTION, template='{"n": <n>, "s": <s>}', paths={"n": "$.detail.n", "s": "$.source"}),
            {"n": 5, "s": "my.app"},
        ),
        (
            Target(FUNCTION, template='"<s> has <name>"', paths={"s": "$.source", "name": "$.detail.name"}),
            'my.app has a "b"',
        ),
        (Target(FUNCTION, template='{"x": "<gone>"}', paths={"gone": "$.gone"}), {"x": ""}),
        (
            Target(FUNCTION, template='{"r": <aws.events.rule-name>, "e": <aws.events.event.json>}'),
            {"r": "r", "e": EVENT},
        ),
        (Target(FUNCTION, template="no JSON: <s>", paths={"s": "$.detail.n"}), "no JSON: 5"),
    ],
)
def test_a_target_gets_the_event_or_what_the_rule_makes_of_it(target, expected):
    assert json.loads(payload(rule(target), target, EVENT)) == expected


def test_the_schedulers_own_event_and_input():
    scheduled = Rule("s", "arn:s", (), parse("rate(1 hour)"), is_scheduler=True)
    made = Target(FUNCTION, input='{"at": "<aws.scheduler.scheduled-time>", "by": "<aws.scheduler.schedule-arn>"}')
    assert json.loads(payload(scheduled, made, EVENT)) == {"at": "T", "by": "arn:s"}


async def test_the_schedulers_event_names_it_as_the_source(running):
    made, sent, _ = running(
        Rule("s", "arn:s", (Target(FUNCTION),), parse("rate(1 hour)"), is_scheduler=True, names=("s", "S"))
    )
    made.trigger("s")
    [(_, event, _)] = sent
    assert (event["source"], event["detail"], event["resources"]) == ("aws.scheduler", "{}", ["arn:s"])


def put(rules, *entries):
    body = json.dumps({"Entries": entries}).encode()
    status, _, answer = rules.answer({"X-Amz-Target": "AWSEvents.PutEvents"}, body)
    return status, json.loads(answer)


ENTRY = {"Source": "my.app", "DetailType": "Order Placed", "Detail": '{"n": 5}'}


async def test_an_event_reaches_the_rules_of_its_bus_whose_pattern_it_matches(running):
    made, sent, _ = running(
        rule(pattern={"source": ["my.app"], "detail": {"n": [{"numeric": [">", 4]}]}}),
        rule(Target(QUEUE), pattern={"source": ["other"]}),
        rule(Target(QUEUE), pattern={"source": ["my.app"]}, bus="orders"),
        buses=("default", "orders"),
    )
    status, answer = put(made, ENTRY)
    assert (status, answer["FailedEntryCount"]) == (200, 0)
    [(arn, event, _)] = sent
    assert arn == FUNCTION
    assert event["id"] == answer["Entries"][0]["EventId"]
    assert (event["source"], event["detail-type"], event["detail"]) == ("my.app", "Order Placed", {"n": 5})
    put(made, ENTRY | {"EventBusName": "arn:aws:events:us-east-1:000000000000:event-bus/orders"})
    assert [arn for arn, _, _ in sent] == [FUNCTION, QUEUE]


async def test_half_of_a_surrogate_pair_is_a_text(running):
    half = json.loads('"\\ud800"')
    transformed = Target(QUEUE, template='{"kind": "<kind>"}', paths={"kind": "$.detail-type"})
    made, sent, _ = running(rule(pattern={"source": ["my.app"]}), rule(transformed, pattern={"source": ["my.app"]}))
    assert put(made, ENTRY | {"DetailType": half, "Resources": [half]})[1]["FailedEntryCount"] == 0
    assert [event.get("kind", event.get("detail-type")) for _, event, _ in sent] == [half, half]


async def test_entries_that_are_wrong_fail_by_themselves(running):
    made, sent, _ = running(rule(pattern={"source": ["my.app"]}))
    _, answer = put(
        made, ENTRY, ENTRY | {"Detail": "[1]"}, {"Source": "my.app", "Detail": "{}"}, ENTRY | {"Detail": "{"}
    )
    assert answer["FailedEntryCount"] == 3
    assert [each.get("ErrorCode") for each in answer["Entries"]] == [
        *(None, "MalformedDetail"),
        *("InvalidArgument", "MalformedDetail"),
    ]
    assert len(sent) == 1


@pytest.mark.parametrize(
    ("target", "body", "status", "code"),
    [
        ("AWSEvents.PutEvents", b"{", 400, "SerializationException"),
        ("AWSEvents.PutEvents", b'{"Entries": [1]}', 400, "SerializationException"),
        ("AWSEvents.PutEvents", b'{"Entries": [{"Source": {}}]}', 400, "SerializationException"),
        ("AWSEvents.PutEvents", b'{"Entries": [{"Resources": "a"}]}', 400, "SerializationException"),
        ("AWSEvents.PutEvents", b'{"Entries": [{"Resources": [1]}]}', 400, "SerializationException"),
        ("AWSEvents.PutEvents", b'{"Entries": [{"Time": 1e308}]}', 400, "SerializationException"),
        ("AWSEvents.PutEvents", b'{"Entries": [{"Time": NaN}]}', 400, "SerializationException"),
        ("AWSEvents.PutEvents", b'{"Entries": []}', 400, "ValidationException"),
        ("AWSEvents.PutRule", b"{}", 501, "NotInEmulator"),
    ],
)
async def test_a_request_that_cannot_be_answered_is_refused(running, target, body, status, code):
    made, _, _ = running()
    found, _, answer = made.answer({"x-amz-target": target}, body)
    assert (found, json.loads(answer)["__type"]) == (status, code)


async def test_schedules_that_stay_keep_their_times_and_others_begin_or_end(running):
    minutes, hours = rule(schedule="rate(5 minutes)"), rule(schedule="rate(1 hour)")
    rules, sent, clock = running(minutes)
    await clock.advance(200)
    rules.renew([minutes, hours], ["default"])
    await clock.advance(100)
    assert len(sent) == 1
    rules.renew([hours], ["default"])
    await clock.advance(3400)
    assert len(sent) == 1
    await clock.advance(100)
    assert len(sent) == 2


async def test_a_renewed_rule_has_its_new_pattern(running):
    rules, sent, _ = running(rule(pattern={"source": ["one"]}))
    rules.renew([rule(pattern={"source": ["two"]})], ["default"])
    for source in ("one", "two"):
        rules.put({"source": source, "detail": {}})
    assert [event["source"] for _, event, _ in sent] == ["two"]


async def test_schedules_that_were_stopped_start_once_more(running):
    rules, sent, clock = running(rule(schedule="rate(1 minute)"))
    rules.stop()
    await clock.advance(60)
    assert sent == []
    rules.start()
    rules.start()
    await clock.advance(60)
    assert len(sent) == 1
