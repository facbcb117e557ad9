"""Asynchronous invocations of our other Lambda functions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


class Functions:
    """Invokes functions without waiting for their results."""

    def __init__(self, client: LambdaClient) -> None:
        self._client = client

    def invoke(self, name: str, payload: dict[str, Any]) -> None:
        """Hand a payload over to a function. It runs at least once, and Lambda retries it as the template says."""
        self._client.invoke(
            FunctionName=name, InvocationType="Event", Payload=json.dumps(payload, allow_nan=False).encode()
        )
