"""AWS's managed policies by ARN. Those that SAM attaches to functions are here, all others come from moto's data."""

from __future__ import annotations

import json
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.resources import files
from types import ModuleType
from typing import Any

from parley.template.model import PolicyDocument


def _allow(*actions: str) -> PolicyDocument:
    return {"Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}


_LOGS = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")
_VPC = (
    *("ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"),
    *("ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"),
)
_XRAY = (
    *("xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets"),
    "xray:GetSamplingStatisticSummaries",
)

_BY_NAME: dict[str, PolicyDocument] = {
    "AWSLambdaBasicExecutionRole": _allow(*_LOGS),
    "AWSLambdaVPCAccessExecutionRole": _allow(*_LOGS, *_VPC),
    "AWSLambdaSQSQueueExecutionRole": _allow(
        "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", *_LOGS
    ),
    "AWSLambdaDynamoDBExecutionRole": _allow(
        *("dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"), *_LOGS
    ),
    "AWSLambdaKinesisExecutionRole": _allow(
        *("kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:GetRecords", "kinesis:GetShardIterator"),
        *("kinesis:ListShards", "kinesis:ListStreams", "kinesis:SubscribeToShard"),
        *_LOGS,
    ),
    "AWSLambdaMSKExecutionRole": _allow(
        *("kafka:DescribeCluster", "kafka:DescribeClusterV2", "kafka:GetBootstrapBrokers"),
        *("ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeVpcs"),
        *("ec2:DeleteNetworkInterface", "ec2:DescribeSubnets", "ec2:DescribeSecurityGroups"),
        *_LOGS,
    ),
    "AWSXRayDaemonWriteAccess": _allow(*_XRAY),
    "AWSXrayWriteOnlyAccess": _allow(*_XRAY),
}


def managed_policy(arn: str) -> PolicyDocument | None:
    """Return a managed policy by its ARN, or by its name, which SAM accepts too; None if AWS has no such policy."""
    *prefix, name = arn.split("/")
    if prefix and not prefix[0].endswith(":iam::aws:policy"):
        return None
    known = _BY_NAME.get(name)
    return _from_moto().get(name, {}).get("Document") if known is None else known


@cache
def _from_moto() -> dict[str, Any]:
    """Return AWS's managed policies by name, if a role needs one that is not here."""
    # The module holds one constant. Its import would load moto's IAM and all that it needs, which takes a second.
    loader = SourceFileLoader("aws_managed_policies", str(files("moto") / "iam" / "aws_managed_policies.py"))
    module = ModuleType(loader.name)
    loader.exec_module(module)
    policies: dict[str, Any] = json.loads(module.aws_managed_policies_data)
    return policies
