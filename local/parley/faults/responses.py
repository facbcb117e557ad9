"""The errors that services of AWS answer with when they are at fault, by point and name of a fault."""

from __future__ import annotations

import json
from typing import Any

from parley.asgi import Response

_MESSAGE = "Failed by the plan of faults."
_DYNAMODB = "com.amazonaws.dynamodb.v20120810#"
_POST = {
    "400": "BadRequestException",
    "403": "ForbiddenException",
    "410": "GoneException",
    "413": "PayloadTooLargeException",
    "429": "LimitExceededException",
}
_INVOKE = {"429": "TooManyRequestsException", "500": "ServiceException"}
_INTERNAL = "InternalServerErrorException"


def failure(point: str, how: str, body: bytes) -> Response:
    """Return the error for a request with this body; `how` is a status, or `throttle` or `conflict` of DynamoDB's."""
    match point, how:
        case "store", "throttle":
            return _dynamodb(400, "ProvisionedThroughputExceededException", _MESSAGE)
        case "store", "conflict":
            return _conflict(body)
        case "store", status:
            return _dynamodb(int(status), "InternalServerError", _MESSAGE)
        case "invoke", status:
            content = {"Type": "User" if status.startswith("4") else "Service", "message": _MESSAGE}
            return Response.of_json(int(status), content, {"x-amzn-ErrorType": _INVOKE.get(status, _INTERNAL)})
        case _, status:
            kind = _POST.get(status, _INTERNAL)
            return Response.of_json(int(status), {"message": _MESSAGE}, {"x-amzn-ErrorType": kind})


def _conflict(body: bytes) -> Response:
    items: list[Any] = json.loads(body).get("TransactItems") or []
    if not items:
        return _dynamodb(400, "TransactionConflictException", "Transaction is ongoing for the item")
    reasons = [{"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"} for _ in items]
    codes = ", ".join(reason["Code"] for reason in reasons)
    text = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    return _dynamodb(400, "TransactionCanceledException", text, CancellationReasons=reasons)


def _dynamodb(status: int, kind: str, message: str, **more: Any) -> Response:
    content = {"__type": f"{_DYNAMODB}{kind}", "message": message, "Message": message, **more}
    return Response.of_json(status, content, {"content-type": "application/x-amz-json-1.0"})
