"""The worker: makes the reply of one turn. Invoked asynchronously by `default`, at least once a turn."""

from __future__ import annotations

import os
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers import collector
from handlers.chat.delivery import delivery
from handlers.chat.log import logger
from handlers.chat.replies.attempt import ReplySettings
from handlers.chat.replies.metrics import report_of
from handlers.chat.replies.model import model_of
from handlers.chat.replies.worker import ReplyWorker
from handlers.chat.turns.lifecycle import Handover
from handlers.wiring import Wiring

# With any wrong setting the worker starts, and apologises.
wired = Wiring(os.environ, has_assistants=True)
settings = wired.settings
worker = ReplyWorker(
    wired.store,
    wired.relay_connections,
    model_of(settings, wired.wrong_settings, os.environ.get("OPENAI_API_KEY", "")),
    ReplySettings.of(settings),
    lambda user_id, frame: wired.deliver(delivery.to_user(user_id, frame)),
    wired.runtime,
    report_of(settings, wired.runtime),
    lambda handover: wired.functions.invoke(os.environ["AWS_LAMBDA_FUNCTION_NAME"], handover.payload()),
)
wired.build("functions")
collector.wake()


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Bring a turn to its end. `event` is its handover: ids and numbers."""
    worker.make(_handover(event), lambda: context.get_remaining_time_in_millis() / 1000)


@logger.inject_lambda_context(clear_state=True)
def on_failure(event: dict[str, Any], context: LambdaContext) -> None:
    """Give up a turn whose invocations have all failed. `event` is Lambda's record of the last one."""
    worker.give_up(_handover(event["requestPayload"]), lambda: context.get_remaining_time_in_millis() / 1000)


def _handover(payload: dict[str, Any]) -> Handover:
    handover = Handover.of(payload)
    logger.append_keys(chat_id=handover.chat_id, message_id=handover.message_id)
    return handover
