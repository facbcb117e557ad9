"""`$disconnect`: forgets a connection. API Gateway delivers this event at best once; the rest is the TTL's."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.chat.concurrency import Runtime
from handlers.chat.log import logger
from handlers.chat.store import Store

store = Store(Runtime())


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take the connection out of its chat and forget it."""
    connection_id = event["requestContext"]["connectionId"]
    logger.append_keys(connection_id=connection_id)
    store.connections.forget(connection_id)
    return {"statusCode": 200}
