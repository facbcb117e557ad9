"""The worker: makes the reply of one turn. Invoked asynchronously by `default`, at least once a turn."""

from __future__ import annotations

import os
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from openai import AsyncOpenAI, Timeout

from handlers.chat.aws import CONFIG, SESSION
from handlers.chat.concurrency import Runtime
from handlers.chat.delivery import delivery
from handlers.chat.delivery.functions import Functions
from handlers.chat.delivery.gateway import Gateway
from handlers.chat.identity import secrets
from handlers.chat.log import logger
from handlers.chat.protocol.frames import ServerFrame
from handlers.chat.replies.llm import Model
from handlers.chat.replies.worker import Replies
from handlers.chat.settings import Settings
from handlers.chat.store import Store
from handlers.chat.turns.lifecycle import Handover

CONNECT_SECONDS = 5.0
MODEL_RETRIES = 2
"""The client's own, after 429, 5xx and failed connections: before the first token, and never after it."""

settings = Settings.of(os.environ)
runtime = Runtime()
functions = Functions(SESSION.client("lambda", config=CONFIG))
# Without a key the client does not start, and every turn would die; with a wrong one, each gets its apology.
client = AsyncOpenAI(
    api_key=secrets.value_of(os.environ.get("OPENAI_API_KEY", "")) or "not-set",
    timeout=Timeout(settings.patience.first, connect=CONNECT_SECONDS),
    max_retries=MODEL_RETRIES,
)


def send_to_user(user_id: str, frame: ServerFrame) -> None:
    """Have a frame delivered to all connections of a user."""
    functions.invoke(settings.deliver_function, delivery.to_user(user_id, frame).payload())


replies = Replies(
    Store(runtime),
    Gateway(settings.management_endpoint, SESSION.get_credentials(), SESSION.region_name, runtime),
    Model(client, settings.openai_model, settings.openai_temperature, settings.patience),
    settings.texts,
    settings.prices,
    settings.history_chars,
    settings.relay_pace,
    send_to_user,
    runtime,
    counts_tokens=settings.limits.tokens_per_day > 0,
)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Bring a turn to its end. `event` is its handover: ids and numbers."""
    replies.make(_handover(event), lambda: context.get_remaining_time_in_millis() / 1000)


@logger.inject_lambda_context(clear_state=True)
def on_failure(event: dict[str, Any], context: LambdaContext) -> None:
    """Give up a turn whose invocations have all failed. `event` is Lambda's record of the last one."""
    replies.give_up(_handover(event["requestPayload"]), lambda: context.get_remaining_time_in_millis() / 1000)


def _handover(payload: dict[str, Any]) -> Handover:
    handover = Handover.of(payload)
    logger.append_keys(chat_id=handover.chat_id, message_id=handover.message_id)
    return handover
