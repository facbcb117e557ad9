"""Closes connections that did not authenticate in time, and those whose session has ended. Invoked by a queue."""

from __future__ import annotations

import os
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers import collector
from handlers.chat.connections import SessionDeadline
from handlers.chat.log import logger
from handlers.wiring import Wiring

# The gateway is built for the first connection that is still anonymous: most have authenticated by then.
wired = Wiring(os.environ).build("settings", "store")
collector.wake()


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Handle a batch of messages."""
    return handle(event, wired)


def handle(event: dict[str, Any], wired: Wiring) -> dict[str, Any]:
    """Look at each connection. The answer names the messages that failed: only those come again."""
    failed = [
        record["messageId"]
        for record in event["Records"]
        if not _expired(*SessionDeadline.look_in(record["body"]), wired)
    ]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def _expired(connection_id: str, look: int, wired: Wiring) -> bool:
    """Close a connection whose time is over. Returns False if that failed."""
    try:
        wired.connections.expire(connection_id, look, wired.session_deadline)
    except Exception:
        logger.exception("connection_not_expired", target_connection_id=connection_id)
        return False
    return True
