"""Closes connections that nobody has authenticated in time. Invoked by the queue that `connect` sends them to."""

from __future__ import annotations

import os
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.chat import closing
from handlers.chat.anonymity import connection_in
from handlers.chat.aws import CONFIG, SESSION
from handlers.chat.concurrency import Runtime
from handlers.chat.log import logger
from handlers.chat.settings import Settings
from handlers.chat.store import Store

settings = Settings.of(os.environ)
store = Store(Runtime())


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Handle a batch of messages. Those that could not be handled come again: only they are named in the answer."""
    failed = [record["messageId"] for record in event["Records"] if not expired(connection_in(record["body"]))]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def expired(connection_id: str) -> bool:
    """Close a connection, unless it has a user by now or is gone. Returns False where that could not be done."""
    try:
        connection = store.connections.get(connection_id)
        if connection is not None and connection.user_id is None:
            closing.close([connection_id], lambda: SESSION.client("apigatewaymanagementapi", config=CONFIG))
            store.connections.forget(connection_id)
            logger.info("anonymous connection closed", connection_id=connection_id)
    except Exception:
        logger.exception("connection not looked at", connection_id=connection_id)
        return False
    return True
