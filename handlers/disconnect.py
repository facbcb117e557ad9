"""`$disconnect`: forgets a connection. API Gateway may lose this event: then the row's time to live deletes the row."""

from __future__ import annotations

import os
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers import collector
from handlers.chat.log import logger
from handlers.wiring import Wiring

wired = Wiring(os.environ).build("store")
collector.wake()


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Handle the end of a connection."""
    return handle(event, wired)


def handle(event: dict[str, Any], wired: Wiring) -> dict[str, Any]:
    """Take the connection out of its chat and forget it."""
    connection_id = event["requestContext"]["connectionId"]
    logger.append_keys(connection_id=connection_id)
    wired.store.connections.forget(connection_id)
    return {"statusCode": 200}
