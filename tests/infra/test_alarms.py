"""Alarms: what goes wrong without anybody noticing is told, and every alarm looks at something that exists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.sam import named_in, resources, transformed

REPLIES = Path(__file__).parents[2] / "handlers" / "chat" / "replies"
METRICS = {
    "AWS/SQS": {"ApproximateNumberOfMessagesVisible"},
    "AWS/Lambda": {"Errors", "Throttles", "AsyncEventAge"},
    "AWS/DynamoDB": {"ReadThrottleEvents", "WriteThrottleEvents"},
    "AWS/ApiGateway": {"5xx", "ExecutionError"},
}
"""The metrics that AWS writes by itself, by namespace, and that alarms use."""


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return transformed()


@pytest.fixture(scope="module")
def alarms(template) -> dict[str, dict[str, Any]]:
    return {name: each["Properties"] for name, each in resources(template, "AWS::CloudWatch::Alarm").items()}


def metrics(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the metrics that an alarm looks at: one, or those of its expression."""
    summed = [each["MetricStat"]["Metric"] for each in alarm.get("Metrics", ()) if "MetricStat" in each]
    return summed or [alarm]


def watched(alarms: dict[str, dict[str, Any]], metric: str) -> list[tuple[str, ...]]:
    """Return the resources whose metric of this name has an alarm."""
    return sorted(
        tuple(
            value if isinstance(value, str) else next(named_in(value))
            for value in (dimension["Value"] for dimension in each["Dimensions"])
        )
        for alarm in alarms.values()
        for each in metrics(alarm)
        if each["MetricName"] == metric
    )


def test_each_is_told_when_it_begins_and_ends_if_there_is_somebody(alarms):
    actions = {"Fn::If": ["AlarmsAreSent", [{"Ref": "AlarmTopic"}], {"Ref": "AWS::NoValue"}]}
    for alarm in alarms.values():
        assert alarm["AlarmActions"] == alarm["OKActions"] == actions
        assert alarm["AlarmDescription"].endswith(".")
        assert alarm["TreatMissingData"] == "notBreaching"


def test_the_address_gets_them_by_a_topic(template):
    [topic] = resources(template, "AWS::SNS::Topic").values()
    assert topic["Condition"] == "AlarmsAreSent"
    assert topic["Properties"] == {"Subscription": [{"Protocol": "email", "Endpoint": {"Ref": "AlarmEmail"}}]}


def test_the_metrics_exist(template, alarms):
    [filtered] = resources(template, "AWS::Logs::MetricFilter").values()
    [own] = filtered["Properties"]["MetricTransformations"]
    for alarm in alarms.values():
        for metric in metrics(alarm):
            if metric["Namespace"] == own["MetricNamespace"]:
                assert metric["MetricName"] == own["MetricName"]
            else:
                assert metric["MetricName"] in METRICS[metric["Namespace"]]


def test_an_expression_has_no_more_metrics_than_an_alarm_may_have(alarms):
    for alarm in alarms.values():
        assert len(alarm.get("Metrics", ())) <= 10


def test_each_dead_letter_queue_has_one(template, alarms):
    queues = sorted(name for name in resources(template, "AWS::SQS::Queue") if "DeadLetter" in name)
    assert watched(alarms, "ApproximateNumberOfMessagesVisible") == [(name,) for name in queues]
    assert {f"{name}Alarm" for name in queues} <= alarms.keys()


def test_errors_of_every_function_are_seen(template, alarms):
    functions = sorted(resources(template, "AWS::Lambda::Function"))
    assert watched(alarms, "Errors") == [(name,) for name in functions]


def test_workers_that_wait_are_seen(alarms):
    assert watched(alarms, "Throttles") == [("GenerateFunction",)]
    assert watched(alarms, "AsyncEventAge") == [("DeliverFunction",), ("GenerateFunction",)]


def test_throttles_of_every_table_and_index_are_seen(template, alarms):
    tables = resources(template, "AWS::DynamoDB::Table")
    indexes = [
        (name, index["IndexName"])
        for name, table in tables.items()
        for index in table["Properties"].get("GlobalSecondaryIndexes", ())
    ]
    everything = sorted([*((name,) for name in tables), *indexes])
    assert watched(alarms, "ReadThrottleEvents") == everything
    assert watched(alarms, "WriteThrottleEvents") == everything


def test_both_apis_have_one(alarms):
    assert watched(alarms, "ExecutionError") == [("WebSocketApi",)]
    assert watched(alarms, "5xx") == [("HttpApi",)]


def test_failures_of_the_model_are_counted_by_the_event_that_the_worker_writes(template, alarms):
    properties = template["Resources"]["ModelFailuresFilter"]["Properties"]
    assert properties["LogGroupName"] == {"Ref": "GenerateLogGroup"}
    assert properties["FilterPattern"] == '{ $.message = "model_failed" }'
    assert any('logger.warning("model_failed"' in each.read_text() for each in REPLIES.glob("*.py"))
    assert alarms["ModelFailuresAlarm"]["MetricName"] == "ModelFailures"
