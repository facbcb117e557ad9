"""The metrics of a turn: measured by the worker, decided as plain values, written in CloudWatch's format."""

import json
from datetime import datetime, timedelta

import pytest

from handlers.chat.cost import Prices, Units, Use
from handlers.chat.errors import ModelFailed
from handlers.chat.log import logger
from handlers.chat.records import FinishReason, Usage
from handlers.chat.replies import metrics
from handlers.chat.replies.attempt import ModelCall
from handlers.chat.replies.deltas import Delta
from handlers.chat.replies.metrics import MetricWriter, TurnRecord, lines_of, report_of
from handlers.chat.settings import Settings
from handlers.chat.turns.lifecycle import Handover
from tests.support.conversation import claim, seal
from tests.support.reply_worker import LATER, NOON, STOP, TURN, ScriptedModel, make_reply, reply_worker
from tests.support.runtime import FakeRuntime

COST = Prices().cost(Use(112, Units(32.0, 21.0), 2, 6.2), None, asked=True)
MODEL = {"gen_ai.request.model": "gpt-4o"}


def a_call(first=0.5, seconds=6.0):
    times = iter([100.0, 100.0 + first, 100.0 + seconds])
    call = ModelCall(FakeRuntime(monotonic=lambda: next(times)))
    call.begin()
    call.note("Hello")
    call.end()
    return call


def a_record(**more):
    known = {"usage": Usage(1_000, 500), "call": a_call(), "first_text_seconds": 0.9}
    return TurnRecord("m2", FinishReason.STOP, COST, **(known | more))


def values(lines):
    """The values of metrics by name and dimensions, without the model, which all have."""
    return {
        (metric.name, *(value for name, value in line.dimensions.items() if name not in MODEL)): metric.value
        for line in lines
        for metric in line.metrics
    }


class TestDecision:
    def test_a_turn_has_these_metrics(self):
        assert values(lines_of(a_record(), "gpt-4o")) == {
            ("gen_ai.client.operation.duration",): 6.0,
            ("gen_ai.client.operation.time_to_first_chunk",): 0.5,
            ("parley.turn.time_to_first_text",): 0.9,
            ("parley.turn.frames",): 112,
            ("parley.turn.read_units",): 32.0,
            ("parley.turn.write_units",): 21.0,
            ("parley.turn.cost",): COST.usd,
            ("parley.turns", "stop"): 1,
            ("gen_ai.client.token.usage", "input"): 1_000,
            ("gen_ai.client.token.usage", "output"): 500,
        }

    def test_all_of_them_name_the_model(self):
        assert all(MODEL.items() <= line.dimensions.items() for line in lines_of(a_record(), "gpt-4o"))

    @pytest.mark.parametrize(
        ("unknown", "missing"),
        [
            ({"usage": None}, {"gen_ai.client.token.usage"}),
            ({"first_text_seconds": None}, {"parley.turn.time_to_first_text"}),
            (
                {"call": None},
                {"gen_ai.client.operation.duration", "gen_ai.client.operation.time_to_first_chunk"},
            ),
        ],
    )
    def test_what_is_unknown_has_none(self, unknown, missing):
        every = {name for name, *_ in values(lines_of(a_record(), "m"))}
        assert {name for name, *_ in values(lines_of(a_record(**unknown), "m"))} == every - missing

    def test_a_model_has_fourteen_metrics_in_all(self):
        """Each costs 0.30 dollars a month. docs/metrics.md says how many there are."""
        every = {
            key
            for reason in FinishReason
            for key in values(lines_of(TurnRecord("m2", reason, COST, Usage(1, 1), a_call(), 0.9), "m"))
        }
        assert len(every) == 14


class TestMeasurement:
    """Records of the worker. Each step of the model takes two seconds of both clocks."""

    def records(self, store, gateway, *script, turn=TURN, **more):
        clock = [0.0]

        def pass_time():
            clock[0] += 2.0

        steps = [step for each in script for step in (pass_time, each)]
        records = []
        more |= {"monotonic": lambda: clock[0], "now": lambda: NOON + timedelta(seconds=clock[0])}
        make_reply(store, gateway, ScriptedModel(*steps), turn, report=records.append, **more)
        return records

    def asked(self, seconds_ago):
        at = NOON - timedelta(seconds=seconds_ago)
        return Handover("alice", "chat", "m2", asked_at=int(at.timestamp() * 1000))

    def test_a_turn_is_measured_once(self, store, gateway, chat):
        usage = Usage(5, 3)
        [record] = self.records(store, gateway, Delta(), "Hi", " you", STOP, Delta(usage=usage), turn=self.asked(1))
        assert (record.finish_reason, record.usage, record.message_id) == (FinishReason.STOP, usage, "m2")
        assert (record.call.first_chunk_seconds, record.call.seconds) == (2.0, 10.0)
        assert record.first_text_seconds == 1 + 4
        assert record.cost.as_data() == gateway.to("c1=")[-1]["data"]["cost"]

    def test_a_failure_of_the_model_is_a_turn_that_ended_with_an_error(self, store, gateway, chat):
        [record] = self.records(store, gateway, ModelFailed("gone"))
        assert (record.finish_reason, record.call.seconds, record.call.first_chunk_seconds) == (
            FinishReason.ERROR,
            2.0,
            None,
        )
        assert record.first_text_seconds is None

    def test_a_model_that_was_not_asked_has_no_times(self, store, gateway, chat):
        store.turns.cancel("alice", "chat", "m2")
        [record] = self.records(store, gateway)
        assert (record.finish_reason, record.call) == (FinishReason.CANCELLED, None)

    def test_a_clock_ahead_of_the_other_makes_no_time_negative(self, store, gateway, chat):
        [record] = self.records(store, gateway, "a", STOP, turn=self.asked(-60))
        assert record.first_text_seconds == 0.0

    def test_a_turn_that_is_given_up_is_measured_too(self, store, gateway, chat):
        claim(store, TURN, now=NOON)
        records = []
        worker = reply_worker(store, gateway, ScriptedModel(), [], now=LATER, report=records.append)
        worker.give_up(TURN, lambda: 60.0)
        [record] = records
        assert (record.finish_reason, record.call) == (FinishReason.ERROR, None)

    def test_a_turn_that_is_over_or_lost_is_not_measured_again(self, store, gateway, chat):
        seal(store, TURN)
        assert self.records(store, gateway, "a", STOP) == []


class TestWriting:
    NOW = datetime.fromisoformat("2026-11-23T12:00:00+00:00")

    def written(self, capsys, **more):
        MetricWriter("Parley/test", "gpt-4o", FakeRuntime(self.NOW)).write(a_record(**more))
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    def test_each_line_is_a_document_of_the_embedded_metric_format(self, capsys):
        """CloudWatch's "Specification: Embedded metric format": what is not so is dropped without a word."""
        documents = self.written(capsys)
        assert len(documents) == 4
        for document in documents:
            assert isinstance(document["_aws"]["Timestamp"], int)
            [directive] = document["_aws"]["CloudWatchMetrics"]
            assert directive["Namespace"] == "Parley/test"
            [dimensions] = directive["Dimensions"]
            assert 1 <= len(dimensions) <= 30
            assert all(0 < len(document[name]) <= 1_024 for name in dimensions)
            assert 1 <= len(directive["Metrics"]) <= 100
            for metric in directive["Metrics"]:
                assert metric["Unit"] in ("Seconds", "Count", "None")
                assert [type(value) for value in document[metric["Name"]]] == [float]

    def test_it_is_what_was_decided(self, capsys):
        shown = {
            (metric["Name"], *(document[name] for name in directive["Dimensions"][0] if name not in MODEL)): document[
                metric["Name"]
            ]
            for document in self.written(capsys)
            for directive in document["_aws"]["CloudWatchMetrics"]
            for metric in directive["Metrics"]
        }
        assert shown == {key: [value] for key, value in values(lines_of(a_record(), "gpt-4o")).items()}

    @pytest.mark.parametrize(
        ("level", "written"),
        [("DEBUG", "DEBUG"), ("INFO", "INFO"), ("WARNING", "WARN"), ("ERROR", "ERROR"), ("CRITICAL", "FATAL")],
    )
    def test_lambda_lets_it_pass_at_every_level_of_the_log(self, capsys, monkeypatch, level, written):
        monkeypatch.setattr(type(logger), "log_level", property(lambda _: getattr(metrics.logging, level)))
        for document in self.written(capsys):
            assert (document["level"], document["message"], document["message_id"]) == (written, "turn_metrics", "m2")
            assert datetime.fromisoformat(document["timestamp"]) == self.NOW

    def test_no_service_is_a_dimension(self, capsys):
        assert all("service" not in document for document in self.written(capsys))

    def test_a_turn_does_not_fail_because_of_its_metrics(self, monkeypatch, caplog):
        def fails(*_):
            raise OSError("stdout is closed")

        monkeypatch.setattr(MetricWriter, "_print", fails)
        MetricWriter("n", "m", FakeRuntime()).write(a_record())
        assert caplog.messages == ["metrics_not_written"]

    @pytest.mark.parametrize("namespace", [None, "", " "])
    def test_without_a_namespace_nothing_is_printed(self, capsys, namespace):
        environ = {} if namespace is None else {"POWERTOOLS_METRICS_NAMESPACE": namespace}
        report_of(Settings.of(environ), FakeRuntime())(a_record())
        assert capsys.readouterr().out == ""

    def test_with_one_it_is_printed(self, capsys):
        report_of(Settings.of({"POWERTOOLS_METRICS_NAMESPACE": "Parley/x"}), FakeRuntime())(a_record())
        assert "Parley/x" in capsys.readouterr().out
