"""AccessDenied errors as each service of AWS's sends them (IAM guide, "Troubleshoot access denied error messages")."""

from __future__ import annotations

import json
from collections.abc import Mapping

from parley.account import ACCOUNT_ID
from parley.asgi import Response
from parley.iam.policies import Decision
from parley.iam.requirements import CONNECTIONS, Permission

_CORAL = "com.amazon.coral.service#AccessDeniedException"
_JSON_1_0 = {"content-type": "application/x-amz-json-1.0"}
_TYPE = {"x-amzn-ErrorType": "AccessDeniedException"}


def principal(role: str, function: str) -> str:
    """Return the ARN of the session in which a function uses its role."""
    return f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/{role}/{function}"


def denial(service: str, who: str, permission: Permission, decision: Decision) -> Response:
    """Return the error response of a service to a call without a permission. `who` is the caller's ARN."""
    action, resource = permission.action, permission.resource or "*"
    reason = f" {decision.value.format(action=action)}"
    match service:
        case "execute-api":
            # API Gateway hides the account and the connection, and gives no reason: transcripts of 2019 to 2023.
            resource = resource.replace(ACCOUNT_ID, f"********{ACCOUNT_ID[-4:]}")
            resource = resource.replace(CONNECTIONS, "@connections/{connectionId}")
            return _response(403, _TYPE, message=_text(who, action, resource))
        case "lambda":
            return _response(403, _TYPE, Message=_text(who, action, resource) + reason)
        case "sqs":
            # SQS writes the action in lower case: github.com/aws/serverless-application-model/issues/3633.
            text = (_text(who, action.lower(), resource) + reason).replace(action, action.lower())
            headers = {**_JSON_1_0, "x-amzn-query-error": "AccessDenied;Sender"}
            return _response(403, headers, __type=_CORAL, message=text)
        case "dynamodb":
            text = _text(who, action, resource) + reason
            return _response(400, _JSON_1_0, __type=_CORAL, Message=text)
        case _:
            # SSM, Secrets Manager, KMS and other services with a JSON protocol.
            headers = {"content-type": "application/x-amz-json-1.1", **_TYPE}
            text = _text(who, action, resource) + reason
            return _response(400, headers, __type="AccessDeniedException", Message=text)


def _text(who: str, action: str, resource: str) -> str:
    return f"User: {who} is not authorized to perform: {action} on resource: {resource}"


def _response(status: int, headers: Mapping[str, str], **content: str) -> Response:
    return Response(status, {"content-type": "application/json", **headers}, json.dumps(content).encode())
