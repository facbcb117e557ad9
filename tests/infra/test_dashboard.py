"""The dashboard: valid JSON, and each metric in it is one that somebody writes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from handlers.chat.cost import Prices, Use
from handlers.chat.records import FinishReason, Usage
from handlers.chat.replies.attempt import ModelCall
from handlers.chat.replies.metrics import TurnRecord, lines_of
from tests.support.cloudformation import accepts
from tests.support.parameters import ROWS
from tests.support.runtime import FakeRuntime
from tests.support.sam import named_in, resources, source, transformed

# "CloudWatch metrics" in the guides of Lambda, SQS and API Gateway: a name with another dimension is an empty graph.
BY_AWS = {
    "AWS/Lambda": ({"Errors", "Throttles", "ConcurrentExecutions"}, "FunctionName", "Function"),
    "AWS/SQS": ({"ApproximateNumberOfMessagesVisible"}, "QueueName", "DeadLetterQueue.QueueName"),
}
"""The metrics that AWS writes by itself: names by namespace, their one dimension, and the end of its value."""

OF_THE_ACCOUNT = {("AWS/Lambda", "ConcurrentExecutions")}
"""Those that also exist without a dimension."""

STATISTICS = {"Sum", "Average", "Maximum", "p50", "p99"}
OWN = "Parley/${AWS::StackName}"

Metric = tuple[str, str, frozenset[tuple[str, str]]]
"""The namespace, the name and the dimensions of a metric."""


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return transformed()


@pytest.fixture(scope="module")
def widgets(template) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = json.loads(
        template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    )["widgets"]
    return content


@pytest.fixture(scope="module")
def shown(widgets) -> list[tuple[dict[str, Any], Metric]]:
    """Each line of each graph, with the graph's properties beneath its own."""
    return [
        ({**widget["properties"], **line[-1]}, metric_of(line[:-1]))
        for widget in widgets
        if widget["type"] == "metric"
        for line in widget["properties"]["metrics"]
    ]


def metric_of(line: list[str]) -> Metric:
    namespace, name, *dimensions = line
    return namespace, name, frozenset(zip(dimensions[::2], dimensions[1::2], strict=True))


def emitted() -> Iterator[Metric]:
    """Yield each metric that turns of the deployment's model can have."""
    call = ModelCall(FakeRuntime())
    call.note("Hi")
    cost = Prices().cost(Use(), None, asked=True)
    for reason in FinishReason:
        for line in lines_of(TurnRecord("m2", reason, cost, Usage(1, 1), call, 1.0), "${OpenAiModel}"):
            for metric in line.metrics:
                yield OWN, metric.name, frozenset(line.dimensions.items())


def counted(template: dict[str, Any]) -> Iterator[Metric]:
    """Yield each metric that CloudWatch makes of log events."""
    for each in resources(template, "AWS::Logs::MetricFilter").values():
        for transformation in each["Properties"]["MetricTransformations"]:
            yield transformation["MetricNamespace"]["Fn::Sub"], transformation["MetricName"], frozenset()


def test_each_of_our_metrics_is_written(template, shown):
    written = {*emitted(), *counted(template)}
    assert [metric for _, metric in shown if metric[0] == OWN and metric not in written] == []


def test_all_of_our_metrics_are_shown(template, shown):
    assert {*emitted(), *counted(template)} - {metric for _, metric in shown} == set()


def test_each_other_metric_is_one_that_aws_writes(template, shown):
    for namespace, name, dimensions in {metric for _, metric in shown if metric[0] != OWN}:
        names, dimension, end = BY_AWS[namespace]
        assert name in names
        if dimensions or (namespace, name) not in OF_THE_ACCOUNT:
            [(given, value)] = dimensions
            assert given == dimension
            assert re.fullmatch(rf"\$\{{\w+{re.escape(end)}\}}", value)


def test_all_functions_and_dead_letter_queues_are_shown(template, shown):
    functions = {f"${{{name}}}" for name in resources(template, "AWS::Lambda::Function")}
    queues = {
        f"${{{name}.QueueName}}" for name in resources(template, "AWS::SQS::Queue") if name.endswith("DeadLetterQueue")
    }
    for metric, everything in (
        ("Errors", functions),
        ("Throttles", functions),
        ("ApproximateNumberOfMessagesVisible", queues),
    ):
        assert {value for _, (_, name, dims) in shown if name == metric for _, value in dims} == everything


def test_all_alarms_are_shown(template, widgets):
    [alarms] = [widget["properties"]["alarms"] for widget in widgets if widget["type"] == "alarm"]
    assert sorted(alarms) == sorted(f"${{{name}.Arn}}" for name in resources(template, "AWS::CloudWatch::Alarm"))
    assert len(alarms) <= 100


def test_the_free_ones_have_at_most_fifty_metrics(shown):
    """CloudWatch takes 500 in a graph and 2,500 in a dashboard. Those with more than fifty are never free."""
    assert len(shown) <= 50


def test_every_line_has_a_statistic_a_period_and_the_stacks_region(shown):
    for properties, _ in shown:
        assert properties["stat"] in STATISTICS
        assert properties["period"] % 60 == 0
        assert properties["region"] == "${AWS::Region}"
        assert properties["title"]
        assert properties["label"]


def test_first_tokens_are_shown_for_most_users_and_for_the_unlucky(shown):
    for name in ("parley.turn.time_to_first_text", "gen_ai.client.operation.time_to_first_chunk"):
        assert {properties["stat"] for properties, metric in shown if metric[1] == name} == {"p50", "p99"}


def test_widgets_fill_the_grid_and_do_not_cover_each_other(widgets):
    taken = [
        (column, row)
        for each in widgets
        for column in range(each["x"], each["x"] + each["width"])
        for row in range(each["y"], each["y"] + each["height"])
    ]
    assert len(taken) == len(set(taken))
    assert {column for column, _ in taken} == set(range(24))


def test_it_is_there_if_metrics_are_on(template):
    assert template["Resources"]["Dashboard"]["Condition"] == "MetricsAreOn"
    assert template["Conditions"]["MetricsAreOn"] == {"Fn::Equals": [{"Ref": "Metrics"}, "true"]}
    namespaces = {
        name: each["Properties"]["Environment"]["Variables"].get("POWERTOOLS_METRICS_NAMESPACE")
        for name, each in resources(template, "AWS::Lambda::Function").items()
    }
    on = {"Fn::If": ["MetricsAreOn", {"Fn::Sub": OWN}, ""]}
    assert {name: value for name, value in namespaces.items() if value} == dict.fromkeys(
        ["GenerateFunction", "GiveUpFunction"], on
    )


def test_two_regions_of_an_account_have_two(template):
    assert template["Resources"]["Dashboard"]["Properties"]["DashboardName"] == {
        "Fn::Sub": "${AWS::StackName}-${AWS::Region}"
    }


def test_no_value_of_a_parameter_breaks_its_json(template):
    body = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]
    parameters = set(named_in(body)) & template["Parameters"].keys()
    assert parameters == {"OpenAiModel"}
    for model in ROWS["OpenAiModel"].good:
        assert json.loads(body["Fn::Sub"].replace("${OpenAiModel}", model))
    for broken in ('"', "\\", "a\nb"):
        assert not accepts(source()["Parameters"]["OpenAiModel"], broken)
