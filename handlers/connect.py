"""`$connect`: lets a connection in, and has it greeted."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.chat import delivery, frames
from handlers.chat.auth import Authenticator, offered_token
from handlers.chat.aws import CONFIG, RETRIES, SESSION
from handlers.chat.crowd import crowded_out
from handlers.chat.errors import Refused
from handlers.chat.frames import Connected, Limits
from handlers.chat.functions import Functions
from handlers.chat.gateway import Gateway
from handlers.chat.log import logger
from handlers.chat.records import Connection
from handlers.chat.settings import Settings
from handlers.chat.store import Store

RECONNECT_AFTER = timedelta(hours=1, minutes=55)
"""API Gateway ends a connection after 2 hours."""

settings = Settings.of(os.environ)
store = Store()
gateway = Gateway(settings.management_endpoint, SESSION.get_credentials(), SESSION.region_name, tries=1 + RETRIES)
functions = Functions(SESSION.client("lambda", config=CONFIG))
authenticator = Authenticator(settings.jwt_secret, store.user_exists)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Refuse a bad token with 401, keep the connection otherwise. Without a token it is anonymous.

    Where the user has too many, the oldest makes way.
    """
    connection_id = event["requestContext"]["connectionId"]
    logger.append_keys(connection_id=connection_id)
    connected_at = datetime.fromtimestamp(event["requestContext"]["connectedAt"] / 1000, UTC)
    token = offered_token(event.get("headers") or {}, event.get("queryStringParameters") or {})
    try:
        user_id = authenticator.user_of(token) if token else None
    except Refused:
        logger.info("handshake refused")
        return {"statusCode": 401}
    most = settings.limits.connections_per_user
    makes_way = crowded_out(store, user_id, most, datetime.now(UTC)) if user_id else ()
    store.add_connection(Connection(connection_id, connected_at, user_id))
    for oldest in makes_way:
        delivery.close(oldest, store, gateway)
    greeting = delivery.to_connection(connection_id, _greeting(connection_id, connected_at))
    functions.invoke(settings.deliver_function, greeting.payload())
    return {"statusCode": 200}


def _greeting(connection_id: str, connected_at: datetime) -> Connected:
    return Connected(
        connection_id=connection_id,
        server_time=frames.timestamp(datetime.now(UTC)),
        reconnect_before=frames.timestamp(connected_at + RECONNECT_AFTER),
        limits=Limits(
            message_chars=settings.message_chars,
            messages_per_minute=settings.limits.messages_per_minute or None,
        ),
    )
