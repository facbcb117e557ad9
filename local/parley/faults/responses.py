"""The error responses that a failing service of AWS sends, by point and action of a fault."""

from __future__ import annotations

import json
from typing import Any

from parley.asgi import Response

_MESSAGE = "Failed by the fault plan."
_DYNAMODB = "com.amazonaws.dynamodb.v20120810#"
_POST_ERRORS = {
    "400": "BadRequestException",
    "403": "ForbiddenException",
    "410": "GoneException",
    "413": "PayloadTooLargeException",
    "429": "LimitExceededException",
}
_INVOKE_ERRORS = {"429": "TooManyRequestsException", "500": "ServiceException"}
_OTHER_ERROR = "InternalServerErrorException"


def error_response(point: str, action: str, body: bytes) -> Response:
    """Return the error response to a request with this body.

    `action` is a status code, or at the point `store` also `throttle` or `conflict`.
    """
    match point, action:
        case "store", "throttle":
            return _dynamodb_error(400, "ProvisionedThroughputExceededException", _MESSAGE)
        case "store", "conflict":
            return _transaction_conflict(body)
        case "store", status:
            return _dynamodb_error(int(status), "InternalServerError", _MESSAGE)
        case "invoke", status:
            content = {"Type": "User" if status.startswith("4") else "Service", "message": _MESSAGE}
            error_type = _INVOKE_ERRORS.get(status, _OTHER_ERROR)
            return Response.of_json(int(status), content, {"x-amzn-ErrorType": error_type})
        case _, status:
            error_type = _POST_ERRORS.get(status, _OTHER_ERROR)
            return Response.of_json(int(status), {"message": _MESSAGE}, {"x-amzn-ErrorType": error_type})


def _transaction_conflict(body: bytes) -> Response:
    items: list[Any] = json.loads(body).get("TransactItems") or []
    if not items:
        return _dynamodb_error(400, "TransactionConflictException", "Transaction is ongoing for the item")
    reasons = [{"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"} for _ in items]
    codes = ", ".join(reason["Code"] for reason in reasons)
    text = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    return _dynamodb_error(400, "TransactionCanceledException", text, CancellationReasons=reasons)


def _dynamodb_error(status: int, error_type: str, message: str, **more: Any) -> Response:
    content = {"__type": f"{_DYNAMODB}{error_type}", "message": message, "Message": message, **more}
    return Response.of_json(status, content, {"content-type": "application/x-amz-json-1.0"})
