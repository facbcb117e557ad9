"""Values of `Ref` and `Fn::GetAtt` for a resource: name, ARN or URL, as after a deployment."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from parley.account import ACCOUNT_ID, REGION, secret_arn


@dataclass(frozen=True, slots=True)
class Stack:
    """The stack that a deployment would create: values of the pseudo parameters.

    `seed` returns what its generated secrets are made from.
    """

    name: str
    seed: Callable[[], str] = str

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource in the emulator's account and region."""
        if service == "s3":
            return f"arn:aws:s3:::{resource}"
        region = "" if service == "iam" else REGION
        return f"arn:aws:{service}:{region}:{ACCOUNT_ID}:{resource}"

    def pseudo_parameters(self, no_value: object) -> dict[str, Any]:
        """Return the values of the pseudo parameters, such as `AWS::Region`."""
        return {
            "AWS::Region": REGION,
            "AWS::AccountId": ACCOUNT_ID,
            "AWS::StackName": self.name,
            "AWS::StackId": self.arn("cloudformation", f"stack/{self.name}/local"),
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::NotificationARNs": [],
            "AWS::NoValue": no_value,
        }


def api_id(logical_id: str) -> str:
    """Return an id in API Gateway's form, always the same for the same API of a template."""
    return hashlib.sha256(logical_id.encode()).hexdigest()[:10]


NAMES = {
    "AWS::Serverless::Function": "FunctionName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Serverless::SimpleTable": "TableName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SSM::Parameter": "Name",
    "AWS::SecretsManager::Secret": "Name",
    "AWS::ApiGatewayV2::Stage": "StageName",
    "AWS::ApiGatewayV2::DomainName": "DomainName",
    "AWS::ApiGateway::Stage": "StageName",
    "AWS::Events::Rule": "Name",
    "AWS::Events::EventBus": "Name",
    "AWS::Scheduler::Schedule": "Name",
    "AWS::Lambda::Alias": "Name",
    "AWS::SNS::Topic": "TopicName",
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
}
"""Property that names a resource, by the resource's type."""

APIS = {
    "AWS::Serverless::WebSocketApi": "wss",
    "AWS::Serverless::HttpApi": "https",
    "AWS::ApiGatewayV2::Api": "wss",
    "AWS::Serverless::Api": "https",
    "AWS::ApiGateway::RestApi": "https",
}
_FUNCTIONS = ("AWS::Serverless::Function", "AWS::Lambda::Function")
_ARN_FORMS = {
    "AWS::Lambda::Function": ("lambda", "function:"),
    "AWS::Serverless::Function": ("lambda", "function:"),
    "AWS::DynamoDB::Table": ("dynamodb", "table/"),
    "AWS::Serverless::SimpleTable": ("dynamodb", "table/"),
    "AWS::SQS::Queue": ("sqs", ""),
    "AWS::SNS::Topic": ("sns", ""),
    "AWS::IAM::Role": ("iam", "role/"),
    "AWS::IAM::ManagedPolicy": ("iam", "policy/"),
    "AWS::KMS::Key": ("kms", "key/"),
    "AWS::Logs::LogGroup": ("logs", "log-group:"),
    "AWS::S3::Bucket": ("s3", ""),
    "AWS::SSM::Parameter": ("ssm", "parameter/"),
    "AWS::Events::Rule": ("events", "rule/"),
    "AWS::Events::EventBus": ("events", "event-bus/"),
    "AWS::Scheduler::Schedule": ("scheduler", "schedule/default/"),
}


ROOT_RESOURCE = "root"
"""The id of a REST API's root resource."""


def function_url(logical_id: str) -> str:
    """Return the URL of a function URL with this logical id. Its id is made as that of an API."""
    return f"https://{api_id(logical_id)}.lambda-url.{REGION}.on.aws/"


class References:
    """References to the resources of one template.

    `kind` returns a resource's type, `name` its name, `text` one of its properties as text.
    """

    def __init__(
        self,
        stack: Stack,
        kind: Callable[[str], str],
        name: Callable[[str], str],
        text: Callable[[str, str], str],
    ) -> None:
        self._stack = stack
        self._kind = kind
        self._name = name
        self._text = text

    def reference(self, logical_id: str) -> str:
        """Return the value of `Ref`."""
        kind = self._kind(logical_id)
        match kind:
            case "AWS::SQS::Queue":
                return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT_ID}/{self._name(logical_id)}"
            case "AWS::Lambda::Version":
                return f"{self._function_arn(logical_id)}:1"
            case "AWS::Lambda::Alias":
                return f"{self._function_arn(logical_id)}:{self._name(logical_id)}"
            case "AWS::SNS::Topic" | "AWS::IAM::ManagedPolicy" | "AWS::SecretsManager::Secret":
                return self.arn(logical_id)
        return api_id(logical_id) if kind in APIS else self._name(logical_id)

    def attribute(self, logical_id: str, attribute: str) -> str | None:
        """Return the value of `Fn::GetAtt`; None if it is not known."""
        kind = self._kind(logical_id)
        match kind, attribute:
            case ("AWS::SQS::Queue", "QueueName") | ("AWS::Events::EventBus", "Name"):
                return self._name(logical_id)
            case ("AWS::SQS::Queue", "QueueUrl") | ("AWS::SecretsManager::Secret", "Id"):
                return self.reference(logical_id)
            case "AWS::Lambda::Version", "Version":
                return "1"
            case "AWS::Logs::LogGroup", "Arn":
                return f"{self.arn(logical_id)}:*"
            case "AWS::SSM::Parameter", "Value":
                return self._text(logical_id, "Value")
            case "AWS::CloudFormation::Stack" | "AWS::Serverless::Application", _:
                return None
        if kind in APIS:
            return self._api_attribute(logical_id, kind, attribute)
        return self._other_attribute(logical_id, kind, attribute)

    def _other_attribute(self, logical_id: str, kind: str, attribute: str) -> str | None:
        """Return an ARN, or a function URL. SAM calls the resource of the one of a function `{Function}Url`."""
        if (kind, attribute) == ("AWS::DynamoDB::Table", "StreamArn"):
            # On AWS the end is the time at which the stream was enabled.
            return f"{self.arn(logical_id)}/stream/local"
        if attribute == "FunctionUrl":
            is_sams = not kind and self._kind(logical_id.removesuffix("Url")) in _FUNCTIONS
            return function_url(logical_id) if is_sams or kind == "AWS::Lambda::Url" else None
        return self.arn(logical_id) if attribute.endswith("Arn") and kind else None

    def arn(self, logical_id: str) -> str:
        """Return a resource's ARN. For a type that is not emulated the ARN has the usual form."""
        kind = self._kind(logical_id)
        if kind == "AWS::SecretsManager::Secret":
            return secret_arn(self._name(logical_id))
        service, prefix = _ARN_FORMS.get(kind, (kind.split("::")[1].lower() if kind.count("::") == 2 else "custom", ""))
        return self._stack.arn(service, prefix + self._name(logical_id))

    def generated_names(self, logical_id: str) -> Mapping[str, str]:
        """Return the names that SAM generates for a function: its role, published version and alias."""
        if self._kind(logical_id) not in _FUNCTIONS:
            return {}
        alias = self._text(logical_id, "AutoPublishAlias")
        arn = self.arn(logical_id)
        made = {f"{logical_id}Role": f"{self._stack.name}-{logical_id}Role", f"{logical_id}Url": arn}
        if alias:
            qualified = {f"{logical_id}Alias{alias}": f"{arn}:{alias}", f"{logical_id}.Alias": f"{arn}:{alias}"}
            made |= qualified | {f"{logical_id}.Version": f"{arn}:1"}
        return made

    def _api_attribute(self, logical_id: str, kind: str, attribute: str) -> str | None:
        scheme = "https" if self._text(logical_id, "ProtocolType") == "HTTP" else APIS[kind]
        host = f"{api_id(logical_id)}.execute-api.{REGION}.amazonaws.com"
        identifier = api_id(logical_id)
        known = {"ApiEndpoint": f"{scheme}://{host}", "ApiId": identifier, "RestApiId": identifier}
        return (known | {"RootResourceId": ROOT_RESOURCE}).get(attribute)

    def _function_arn(self, logical_id: str) -> str:
        name = self._text(logical_id, "FunctionName")
        return name if name.startswith("arn:") else self._stack.arn("lambda", f"function:{name}")
