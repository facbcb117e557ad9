"""Permissions that the Lambda service uses in a function's role: for logs, dead letters, destinations and queues."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from parley.iam.requirements import Permission, arn
from parley.template.model import EventSource, Function, StreamSource

_DELIVERY_ACTIONS = {
    "sqs": "sqs:SendMessage",
    "sns": "sns:Publish",
    "lambda": "lambda:InvokeFunction",
    "events": "events:PutEvents",
}
_IF_CONFIGURED = (
    *("xray:PutTraceSegments", "xray:PutTelemetryRecords", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"),
    *("ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DescribeSecurityGroups", "ec2:DescribeVpcs"),
    *("ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"),
)
"""Actions for tracing and for a VPC. They count as used where a role has them."""


@dataclass(frozen=True, slots=True)
class Use:
    """A permission that the Lambda service uses, and for what. Without one that is not required, nothing is lost."""

    permission: Permission
    purpose: str
    is_required: bool = True


def of_function(function: Function, sources: Iterable[EventSource], streams: Iterable[StreamSource] = ()) -> list[Use]:
    """Return what the Lambda service does with a function's role."""
    polling = (*_polling(function.name, sources), *_reading(function.name, streams))
    return [*_logs(function), *_deliveries(function), *polling, *_if_configured()]


def _logs(function: Function) -> Iterator[Use]:
    group = function.log_group or f"/aws/lambda/{function.name}"
    stream = arn("logs", f"log-group:{group}:log-stream:*")
    yield Use(Permission("logs:CreateLogStream", stream), "for the function's log")
    yield Use(Permission("logs:PutLogEvents", stream), "for the function's log")
    # Only where the log group does not exist yet.
    yield Use(Permission("logs:CreateLogGroup", arn("logs", f"log-group:{group}")), "", is_required=False)


def _deliveries(function: Function) -> Iterator[Use]:
    if function.dead_letter:
        yield from _delivery(function.dead_letter, "for the function's dead letters")
    for config in function.invoke_configs.values():
        for destination in filter(None, (config.on_success, config.on_failure)):
            yield from _delivery(destination, "for the function's destination")


def _delivery(target: str, purpose: str) -> Iterator[Use]:
    service = target.split(":")[2] if target.count(":") > 2 else ""
    if service in _DELIVERY_ACTIONS:
        yield Use(Permission(_DELIVERY_ACTIONS[service], target), purpose)


def _polling(function: str, sources: Iterable[EventSource]) -> Iterator[Use]:
    for source in sources:
        if source.function == function:
            for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
                yield Use(Permission(f"sqs:{action}", arn("sqs", source.queue)), "for the function's event source")


def _reading(function: str, sources: Iterable[StreamSource]) -> Iterator[Use]:
    for source in sources:
        if source.function == function:
            stream = arn("dynamodb", f"table/{source.table}/stream/local")
            for action in ("DescribeStream", "GetRecords", "GetShardIterator"):
                yield Use(Permission(f"dynamodb:{action}", stream), "for the function's event source")
            yield Use(Permission("dynamodb:ListStreams", None), "", is_required=False)


def _if_configured() -> Iterator[Use]:
    for action in _IF_CONFIGURED:
        yield Use(Permission(action, None), "", is_required=False)
