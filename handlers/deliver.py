"""One frame to a connection, a user, or everyone. Invoked asynchronously, by our functions or by an operator."""

from __future__ import annotations

import os
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.chat.aws import CONFIG, RETRIES, SESSION
from handlers.chat.concurrency import Runtime
from handlers.chat.delivery.delivery import Delivery, deliver
from handlers.chat.delivery.functions import Functions
from handlers.chat.delivery.gateway import Gateway
from handlers.chat.log import logger
from handlers.chat.settings import Settings
from handlers.chat.store import Store

settings = Settings.of(os.environ)
runtime = Runtime()
store = Store(runtime)
gateway = Gateway(
    settings.management_endpoint, SESSION.get_credentials(), SESSION.region_name, runtime, tries=1 + RETRIES
)
functions = Functions(SESSION.client("lambda", config=CONFIG))


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Deliver. `event` holds `frame` and one of `connection_id`, `user_id`; with neither it is for everyone."""
    deliver(
        Delivery.of(event), store, gateway, lambda payload: functions.invoke(context.function_name, payload), runtime
    )
