"""One frame to a connection, a user, or everyone. Invoked asynchronously, by our functions or by an operator."""

from __future__ import annotations

import os
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers import collector
from handlers.chat.delivery.delivery import Delivery
from handlers.chat.log import logger
from handlers.wiring import Wiring

wired = Wiring(os.environ).build("deliverer", "functions")
collector.wake()


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Handle a delivery."""
    handle(event, context, wired)


def handle(event: dict[str, Any], context: LambdaContext, wired: Wiring) -> None:
    """Deliver. `event` holds `frame` and one of `connection_id`, `user_id`; without either it is for everyone."""
    wired.deliverer.deliver(
        Delivery.of(event),
        context.aws_request_id,
        lambda payload: wired.functions.invoke(context.function_name, payload),
        lambda: context.get_remaining_time_in_millis() / 1000,
    )
