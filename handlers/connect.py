"""`$connect`: lets a connection in, and has it greeted."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from handlers import collector
from handlers.chat.connections import connections_to_evict
from handlers.chat.delivery import delivery
from handlers.chat.errors import KeysUnavailable, Misconfigured, Refused
from handlers.chat.identity import origins, tokens
from handlers.chat.log import logger
from handlers.chat.protocol import frames, views
from handlers.chat.records import Connection
from handlers.chat.settings import ACCESS, refuse_wrong
from handlers.wiring import Wiring

RECONNECT_AFTER = timedelta(hours=1, minutes=55)
"""API Gateway ends a connection after 2 hours."""

# The gateway is built for the first connection that evicts another one: few do.
wired = Wiring(os.environ, identifies_users=True, has_assistants=True)
wired.build("authenticator", "session_deadline", "functions")
collector.wake()


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Handle a handshake."""
    return handle(event, wired)


def handle(event: dict[str, Any], wired: Wiring) -> dict[str, Any]:
    """Let a connection in, or refuse its handshake with a status.

    With 401 a bad token, with 403 a foreign page, and with 503 everybody if a setting that decides about that is wrong.
    """
    logger.append_keys(connection_id=event["requestContext"]["connectionId"])
    try:
        refuse_wrong(wired.wrong_settings, ACCESS)
        return _let_in(event, wired)
    except Misconfigured as error:
        logger.error("refused_by_settings", variables=error.variables, reason=str(error))
        return {"statusCode": 503}


def _let_in(event: dict[str, Any], wired: Wiring) -> dict[str, Any]:
    """Keep the connection, anonymous without a token. If the user has too many, the oldest ones are closed."""
    settings, store = wired.settings, wired.store
    connection_id = event["requestContext"]["connectionId"]
    connected_at = datetime.fromtimestamp(event["requestContext"]["connectedAt"] / 1000, UTC)
    headers = event.get("headers") or {}
    if not origins.is_allowed(headers, settings.allowed_origins):
        logger.info("handshake_refused", reason="the page's origin is not in ALLOWED_ORIGINS")
        return {"statusCode": 403}
    token = tokens.offered_token(headers, event.get("queryStringParameters") or {})
    try:
        identity = wired.authenticator.identify(token) if token else None
    except Refused:
        logger.info("handshake_refused", reason="the token is invalid")
        return {"statusCode": 401}
    except KeysUnavailable:
        return {"statusCode": 503}
    user_id, until = (identity.user_id, identity.until) if identity else (None, None)
    limit = settings.limits.connections_per_user
    evicted = connections_to_evict(store, user_id, limit, wired.runtime.now()) if user_id else ()
    connection = Connection(connection_id, connected_at, user_id, until=until)
    store.connections.add(connection)
    if user_id and not store.users.is_enabled(user_id):
        # Disabled since the token was checked, perhaps after the user's connections were looked up and closed.
        store.connections.forget(connection_id)
        logger.info("handshake_refused", reason="the user was disabled")
        return {"statusCode": 401}
    for oldest in evicted:
        wired.connections.evict(oldest)
    _schedule_deadline(connection, wired)
    wired.deliver(delivery.to_connection(connection_id, _greeting(connection_id, connected_at, wired)))
    return {"statusCode": 200}


def _schedule_deadline(connection: Connection, wired: Wiring) -> None:
    """Let a connection expire. If that cannot be arranged, the connection is let in all the same."""
    try:
        wired.session_deadline.schedule(connection, wired.runtime.now())
    except (BotoCoreError, ClientError):
        logger.exception("session_deadline_not_scheduled")


def _greeting(connection_id: str, connected_at: datetime, wired: Wiring) -> frames.Connected:
    language = wired.settings.texts.language
    assistants = (
        frames.AssistantView(id=each.id, title=each.title_in(language), starters=tuple(each.starters))
        for each in wired.settings.assistants
    )
    return frames.Connected(
        connection_id=connection_id,
        server_time=frames.timestamp(wired.runtime.now()),
        reconnect_before=frames.timestamp(connected_at + RECONNECT_AFTER),
        limits=frames.ClientLimits(
            message_chars=wired.settings.message_chars,
            messages_per_minute=wired.settings.limits.messages_per_minute or None,
        ),
        assistants=views.assistants(assistants),
    )
