"""One frame to a connection, a user, or everyone. Invoked asynchronously, by our functions or by an operator."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.chat.aws import CONFIG, SESSION
from handlers.chat.delivery import Delivery, deliver
from handlers.chat.functions import Functions
from handlers.chat.gateway import Gateway
from handlers.chat.log import logger
from handlers.chat.store import Store

store = Store()
gateway = Gateway(SESSION.client("apigatewaymanagementapi", config=CONFIG))
functions = Functions(SESSION.client("lambda", config=CONFIG))


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Deliver. `event` holds `frame` and one of `connection_id`, `user_id`; with neither it is for everyone."""
    deliver(Delivery.of(event), store, gateway, lambda payload: functions.invoke(context.function_name, payload))
