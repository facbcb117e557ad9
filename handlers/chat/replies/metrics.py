"""Metrics of turns: decided as plain values, and written as lines of the log that CloudWatch makes metrics of.

The lines have CloudWatch's embedded metric format, by Powertools. Names that begin with `gen_ai.` are those of
OpenTelemetry's semantic conventions for generative AI (open-telemetry/semantic-conventions-genai, gen-ai-metrics.md).
Each name with each set of dimensions costs money, so there are few: docs/metrics.md counts them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from handlers.chat.concurrency import Runtime
from handlers.chat.log import logger
from handlers.chat.protocol.frames import Cost
from handlers.chat.records import FinishReason, Usage
from handlers.chat.replies.attempt import Attempt, Completion, ModelCall
from handlers.chat.settings import Settings

MODEL, TOKEN_TYPE = "gen_ai.request.model", "gen_ai.token.type"
FINISH_REASON = "gen_ai.response.finish_reasons"

CALL_SECONDS = "gen_ai.client.operation.duration"
FIRST_CHUNK_SECONDS = "gen_ai.client.operation.time_to_first_chunk"
TOKENS = "gen_ai.client.token.usage"
TURNS = "parley.turns"
FIRST_TEXT_SECONDS = "parley.turn.time_to_first_text"
FRAMES, READ_UNITS, WRITE_UNITS = "parley.turn.frames", "parley.turn.read_units", "parley.turn.write_units"
COST = "parley.turn.cost"

_EVENT = "turn_metrics"
_LAMBDA_LEVELS = {"WARNING": "WARN", "CRITICAL": "FATAL"}
"""Names of levels that Lambda writes in another way than Python (docs/aws.md section 7)."""

_SAME_FOR_ALL = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai"}
"""Attributes that the conventions require. With one value each they are no dimensions. The provider is the dialect."""


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """The measurements of one turn whose reply is stored.

    `usage` is None if the model's server did not count, `call` if the model was not asked. `first_text_seconds` is the
    time from the user's frame to the first text of the model, None if either is not known.
    """

    message_id: str
    finish_reason: FinishReason
    cost: Cost
    usage: Usage | None = None
    call: ModelCall | None = None
    first_text_seconds: float | None = None

    @classmethod
    def of(cls, attempt: Attempt, completion: Completion, cost: Cost) -> Self:
        """Return the record of a turn that an attempt has brought to its end."""
        call, asked_at = completion.call, attempt.handover.asked_at
        waited = None
        if call is not None and call.first_text_at is not None and asked_at is not None:
            # By two clocks: API Gateway's and the worker's.
            waited = max(0.0, call.first_text_at.timestamp() - asked_at / 1000)
        return cls(attempt.turn.message_id, completion.finish_reason, cost, completion.usage, call, waited)


@dataclass(frozen=True, slots=True)
class Metric:
    """One value of a metric."""

    name: str
    unit: MetricUnit | str
    value: float


@dataclass(frozen=True, slots=True)
class MetricLine:
    """The metrics that have the same dimensions: one line of the log."""

    dimensions: Mapping[str, str]
    metrics: tuple[Metric, ...]


def lines_of(record: TurnRecord, model: str) -> list[MetricLine]:
    """Return the metrics of a turn. What is not known has none."""
    of_model = {MODEL: model}
    lines = [
        MetricLine(of_model, (*_times(record), *_amounts(record.cost))),
        MetricLine(of_model | {FINISH_REASON: record.finish_reason.value}, (Metric(TURNS, MetricUnit.Count, 1),)),
    ]
    if record.usage is not None:
        counts = {"input": record.usage.prompt_tokens, "output": record.usage.completion_tokens}
        lines += [
            MetricLine(of_model | {TOKEN_TYPE: kind}, (Metric(TOKENS, MetricUnit.Count, count),))
            for kind, count in counts.items()
        ]
    return lines


def _times(record: TurnRecord) -> Iterator[Metric]:
    call = record.call
    times = {
        CALL_SECONDS: call.seconds if call else None,
        FIRST_CHUNK_SECONDS: call.first_chunk_seconds if call else None,
        FIRST_TEXT_SECONDS: record.first_text_seconds,
    }
    return (Metric(name, MetricUnit.Seconds, time) for name, time in times.items() if time is not None)


def _amounts(cost: Cost) -> Iterator[Metric]:
    amounts = {FRAMES: cost.frames, READ_UNITS: cost.read_units, WRITE_UNITS: cost.write_units}
    yield from (Metric(name, MetricUnit.Count, amount) for name, amount in amounts.items())
    yield Metric(COST, "None", cost.usd)  # CloudWatch has no unit of money


def report_of(settings: Settings, runtime: Runtime) -> Callable[[TurnRecord], None]:
    """Return the function that takes the measurements of a turn. Without a namespace for metrics it does nothing."""
    if not settings.metrics_namespace:
        return lambda record: None
    return MetricWriter(settings.metrics_namespace, settings.openai_model, runtime).write


class MetricWriter:
    """The writer of the metrics of turns, in one namespace of CloudWatch. `model` is the deployment's."""

    def __init__(self, namespace: str, model: str, runtime: Runtime) -> None:
        self._namespace = namespace
        self._model = model
        self._runtime = runtime

    def write(self, record: TurnRecord) -> None:
        """Write the metrics of a turn. Never raises: a turn must not fail because of its metrics."""
        try:
            call = record.call
            for line in lines_of(record, (call and call.model) or self._model):
                self._print(line, record.message_id)
        except Exception:
            logger.exception("metrics_not_written")

    def _print(self, line: MetricLine, message_id: str) -> None:
        # Without a service: it would be one more dimension.
        document = EphemeralMetrics(namespace=self._namespace, service="")
        for name, value in line.dimensions.items():
            document.add_dimension(name, value)
        for metric in line.metrics:
            document.add_metric(metric.name, metric.unit, metric.value)
        for key, text in {**_SAME_FOR_ALL, **self._head(), "message_id": message_id}.items():
            document.add_metadata(key, text)
        document.flush_metrics()

    def _head(self) -> Mapping[str, str]:
        """Return the fields that every line of the log has. Lambda drops lines whose level is below the function's."""
        level = logging.getLevelName(logger.log_level)
        return {
            "level": _LAMBDA_LEVELS.get(level, level),
            "message": _EVENT,
            "timestamp": self._runtime.now().isoformat(),
        }
