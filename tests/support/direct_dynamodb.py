"""moto's DynamoDB, called by the store's client directly.

A call through moto's stand-in for HTTP takes twice as long: signed, matched with the URLs of all services, parsed, and
serialized value by value.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from botocore.model import OperationModel
from botocore.parsers import create_parser
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.utils import camelcase_to_underscores
from moto.dynamodb.responses import DynamoHandler

from handlers.chat.store.dynamodb import CONNECTION

EVENT = "before-call.dynamodb"

LOCK = Lock()
"""moto looks and then writes, and lets another thread in between: DynamoDB does not."""


class Accepted:
    """The part of an HTTP response at which botocore still looks."""

    status_code = 200


@contextmanager
def direct() -> Iterator[None]:
    """Let moto answer the requests of the store's client, as soon as botocore has checked and serialized them."""
    events = CONNECTION.client.meta.events
    events.register_last(EVENT, _answer)
    try:
        yield
    finally:
        events.unregister(EVENT, _answer)


def _answer(model: OperationModel, params: dict[str, Any], **_: Any) -> tuple[Accepted, dict[str, Any]] | None:
    """Answer a request, or leave it to moto's stand-in for HTTP if it fails."""
    handler = DynamoHandler()
    handler.current_account, handler.region = DEFAULT_ACCOUNT_ID, "us-east-1"
    handler.body = json.loads(params["body"], object_hook=_with_bytes)
    with LOCK:
        try:
            result = getattr(handler, camelcase_to_underscores(model.name))().result
        except Exception:
            return None  # nothing was written, and it fails again there, which makes the response of the error
        body = json.dumps(result, default=_base64).encode()
    response, found = {"status_code": 200, "headers": {}, "body": body}, {}
    CONNECTION.client.meta.events.emit(
        f"before-parse.dynamodb.{model.name}",
        operation_model=model,
        response_dict=response,
        customized_response_dict=found,
    )
    parser = create_parser(model.service_model.resolved_protocol)
    return Accepted(), parser.parse(response, model.output_shape) | found


def _with_bytes(value: dict[str, Any]) -> dict[str, Any]:
    """Return a value of an attribute with bytes, which are base64 in JSON."""
    return {"B": base64.b64decode(value["B"])} if isinstance(value.get("B"), str) else value


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
