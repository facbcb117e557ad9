"""Deletes the messages of a deleted chat. Invoked asynchronously by `api`; a retry goes on at the point of the stop."""

from __future__ import annotations

import os
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers import collector
from handlers.chat import erasure
from handlers.chat.delivery import delivery
from handlers.chat.erasure import Erasure
from handlers.chat.log import logger
from handlers.chat.protocol.frames import ChatDeleted
from handlers.wiring import Wiring

wired = Wiring(os.environ).build("settings", "store", "functions")
collector.wake()


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Handle an erasure."""
    handle(event, context, wired)


def handle(event: dict[str, Any], context: LambdaContext, wired: Wiring) -> None:
    """Erase a chat. `event` is the erasure: ids and times."""
    work = Erasure.of(event)
    logger.append_keys(chat_id=work.chat_id)

    def announce(user_id: str, chat_id: str) -> None:
        wired.deliver(delivery.to_user(user_id, ChatDeleted(chat_id=chat_id)))

    erasure.erase(wired.store, work, announce, lambda: context.get_remaining_time_in_millis() / 1000)
