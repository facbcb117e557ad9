"""The worker: makes the reply of one turn. Invoked asynchronously by `default`, at least once a turn."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from openai import OpenAI, Timeout

from handlers.chat import delivery
from handlers.chat.aws import CONFIG, SESSION
from handlers.chat.frames import ServerFrame
from handlers.chat.functions import Functions
from handlers.chat.gateway import Gateway
from handlers.chat.log import logger
from handlers.chat.model import Model
from handlers.chat.replies import Replies
from handlers.chat.settings import Settings
from handlers.chat.store import Store
from handlers.chat.turns import Turn

MODEL_TIMEOUT = Timeout(30.0, connect=5.0)
"""Seconds of silence; openai's own are 600."""

settings = Settings.of(os.environ)
functions = Functions(SESSION.client("lambda", config=CONFIG))
# Without a key the client does not start, and every turn would die; with a wrong one, each gets its apology.
client = OpenAI(api_key=os.environ.get("OPENAI_API_KEY") or "not-set", timeout=MODEL_TIMEOUT)


def send_to_user(user_id: str, frame: ServerFrame) -> None:
    """Have a frame delivered to all connections of a user."""
    functions.invoke(settings.deliver_function, delivery.to_user(user_id, frame).payload())


replies = Replies(
    Store(),
    Gateway(settings.management_endpoint, SESSION.get_credentials(), SESSION.region_name),
    Model(client, settings.openai_model, settings.openai_temperature),
    settings.texts,
    settings.history_chars,
    settings.relay_pace,
    send_to_user,
    now=lambda: datetime.now(UTC),
)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Bring the turn to its end. `event` is a turn's payload: `user_id`, `chat_id`, `message_id`."""
    turn = Turn.of(event)
    logger.append_keys(chat_id=turn.chat_id, message_id=turn.message_id)
    replies.make(turn)
