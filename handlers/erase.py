"""Deletes what a deleted chat has left behind. Invoked asynchronously by `api`; a retry goes on where it stopped."""

from __future__ import annotations

import os
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.chat import erasure
from handlers.chat.aws import CONFIG, SESSION
from handlers.chat.concurrency import Runtime
from handlers.chat.delivery import delivery
from handlers.chat.delivery.functions import Functions
from handlers.chat.erasure import Erasure
from handlers.chat.log import logger
from handlers.chat.protocol.frames import ChatDeleted
from handlers.chat.settings import Settings
from handlers.chat.store import Store

settings = Settings.of(os.environ)
store = Store(Runtime())
functions = Functions(SESSION.client("lambda", config=CONFIG))


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Erase a chat. `event` is the erasure: ids and times."""
    work = Erasure.of(event)
    logger.append_keys(chat_id=work.chat_id)
    erasure.erase(store, work, announce, lambda: context.get_remaining_time_in_millis() / 1000)


def announce(user_id: str, chat_id: str) -> None:
    """Have a user's connections told that a chat is gone."""
    functions.invoke(settings.deliver_function, delivery.to_user(user_id, ChatDeleted(chat_id=chat_id)).payload())
