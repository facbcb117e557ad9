"""`$default`: answers the frames of clients."""

from __future__ import annotations

import os
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers import collector
from handlers.chat.log import logger
from handlers.chat.turns.tally import tallied
from handlers.wiring import Wiring

wired = Wiring(os.environ, identifies_users=True, has_assistants=True).build("commands", "performer")
collector.wake()


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Handle a frame."""
    return handle(event, context, wired)


def handle(event: dict[str, Any], context: LambdaContext, wired: Wiring) -> dict[str, Any]:
    """Do what the frame asks for. Answers are posted to the connection, never returned."""
    request = event["requestContext"]
    connection_id = request["connectionId"]
    logger.append_keys(connection_id=connection_id)
    asked_at = request.get("requestTimeEpoch")
    with tallied(wired.performer.perform, wired.settings.memory, asked_at, wired.runtime) as perform:
        wired.commands.answer(event.get("body"), connection_id, perform, reference=context.aws_request_id)
    return {"statusCode": 200}
