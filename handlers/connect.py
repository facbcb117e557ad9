"""`$connect`: lets a connection in, and has it greeted."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from handlers.chat.anonymity import Anonymity
from handlers.chat.aws import CONFIG, RETRIES, SESSION
from handlers.chat.concurrency import Runtime
from handlers.chat.crowd import crowded_out
from handlers.chat.delivery import delivery
from handlers.chat.delivery.functions import Functions
from handlers.chat.delivery.gateway import Gateway
from handlers.chat.errors import KeysUnavailable, Refused
from handlers.chat.identity import origins
from handlers.chat.identity.tokens import Authenticator, offered_token
from handlers.chat.identity.users import Membership
from handlers.chat.log import logger
from handlers.chat.protocol import frames
from handlers.chat.protocol.frames import Connected, Limits
from handlers.chat.records import Connection
from handlers.chat.settings import Settings
from handlers.chat.store import Store

RECONNECT_AFTER = timedelta(hours=1, minutes=55)
"""API Gateway ends a connection after 2 hours."""

settings = Settings.of(os.environ)
runtime = Runtime()
store = Store(runtime)
gateway = Gateway(
    settings.management_endpoint, SESSION.get_credentials(), SESSION.region_name, runtime, tries=1 + RETRIES
)
functions = Functions(SESSION.client("lambda", config=CONFIG))
anonymity = Anonymity(SESSION.client("sqs", config=CONFIG), settings.anonymous_queue, settings.anonymous_seconds)
authenticator = Authenticator.of(settings, Membership(store, settings.auto_create_users, runtime))


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Refuse a bad token with 401 and a foreign page with 403; else keep the connection, anonymous without a token.

    Where the user has too many, the oldest makes way.
    """
    connection_id = event["requestContext"]["connectionId"]
    logger.append_keys(connection_id=connection_id)
    connected_at = datetime.fromtimestamp(event["requestContext"]["connectedAt"] / 1000, UTC)
    headers = event.get("headers") or {}
    if not origins.is_allowed(headers, settings.allowed_origins):
        logger.info("handshake refused: its page's origin is not among ALLOWED_ORIGINS")
        return {"statusCode": 403}
    token = offered_token(headers, event.get("queryStringParameters") or {})
    try:
        identity = authenticator.identify(token) if token else None
    except Refused:
        logger.info("handshake refused: invalid token")
        return {"statusCode": 401}
    except KeysUnavailable:
        return {"statusCode": 503}
    user_id, until = (identity.user_id, identity.until) if identity else (None, None)
    most = settings.limits.connections_per_user
    makes_way = crowded_out(store, user_id, most, runtime.now()) if user_id else ()
    store.connections.add(Connection(connection_id, connected_at, user_id, until=until))
    for oldest in makes_way:
        delivery.close(oldest, store, gateway)
    if identity is None:
        expire(connection_id)
    greeting = delivery.to_connection(connection_id, _greeting(connection_id, connected_at))
    functions.invoke(settings.deliver_function, greeting.payload())
    return {"statusCode": 200}


def expire(connection_id: str) -> None:
    """Have a connection closed that nobody authenticates. Where that cannot be arranged it is let in all the same."""
    try:
        anonymity.expires(connection_id)
    except (BotoCoreError, ClientError):
        logger.exception("anonymous connection will not be closed")


def _greeting(connection_id: str, connected_at: datetime) -> Connected:
    return Connected(
        connection_id=connection_id,
        server_time=frames.timestamp(runtime.now()),
        reconnect_before=frames.timestamp(connected_at + RECONNECT_AFTER),
        limits=Limits(
            message_chars=settings.message_chars,
            messages_per_minute=settings.limits.messages_per_minute or None,
        ),
    )
