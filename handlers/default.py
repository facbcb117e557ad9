"""`$default`: answers the frames of clients."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from handlers.chat.aws import CONFIG, RETRIES, SESSION
from handlers.chat.concurrency import Runtime
from handlers.chat.delivery import delivery
from handlers.chat.delivery.functions import Functions
from handlers.chat.delivery.gateway import Gateway
from handlers.chat.errors import ConnectionGone, PostFailed
from handlers.chat.identity.tokens import Authenticator
from handlers.chat.identity.users import Membership
from handlers.chat.limits.frame_rate import Floods, Verdict
from handlers.chat.log import logger
from handlers.chat.protocol import frames
from handlers.chat.protocol.frames import ServerFrame
from handlers.chat.settings import Settings
from handlers.chat.store import Store, StoreError
from handlers.chat.turns.commands import Action, Close, Commands, Generate, Post, Share

SHARE_SECONDS = 2.0
"""How long other devices may hold up what follows: a reply is not to wait for one that hangs."""

settings = Settings.of(os.environ)
runtime = Runtime()
store = Store(runtime)
gateway = Gateway(
    settings.management_endpoint, SESSION.get_credentials(), SESSION.region_name, runtime, tries=1 + RETRIES
)
functions = Functions(SESSION.client("lambda", config=CONFIG))
commands = Commands(
    store,
    Authenticator.of(settings, Membership(store, settings.auto_create_users, runtime)),
    settings,
    runtime,
)
floods = Floods(settings.limits.frames_per_second, runtime)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Do what the frame asks for; answers are posted to the connection, never returned."""
    connection_id = event["requestContext"]["connectionId"]
    logger.append_keys(connection_id=connection_id)
    body = event.get("body")
    judgement = floods.judge(connection_id)
    match judgement.verdict:
        case Verdict.PASS:
            commands.answer(body, connection_id, perform, reference=context.aws_request_id)
        case Verdict.REFUSE:
            perform(commands.refuse(body, connection_id, floods.refusal(judgement.retry_after)))
        case Verdict.CLOSE:
            logger.warning("connection closed: it floods")
            perform(Close(connection_id))
    return {"statusCode": 200}


def perform(action: Action) -> None:
    """Carry out what was decided."""
    match action:
        case Post():
            post(action.connection_id, action.frame, action.request_id)
        case Share():
            share(action)
        case Generate():
            hand_over(action)
        case Close():
            delivery.close(action.connection_id, store, gateway)


def post(connection_id: str, frame: ServerFrame, request_id: str | None = None) -> None:
    """Post a frame. A connection that does not take it keeps nobody else from it, and one that is gone is forgotten."""
    try:
        gateway.post(connection_id, frames.encode(frames.as_json(frame, request_id)))
    except ConnectionGone:
        forget(connection_id)
    except PostFailed as failure:
        logger.warning("frame not delivered", receiver=connection_id, reason=str(failure))


def forget(connection_id: str) -> None:
    """Forget a connection that is gone."""
    logger.info("connection gone", gone=connection_id)
    try:
        store.connections.forget(connection_id)
    except StoreError:
        logger.exception("connection not forgotten: its row has a time to live")


def share(action: Share) -> None:
    """Post a frame to several connections at once, and wait a moment for those that take long."""
    posts = [runtime.start(partial(post, each, action.frame), name=each) for each in sorted(action.connections)]
    end = runtime.monotonic() + SHARE_SECONDS
    for thread in posts:
        thread.join(max(0.0, end - runtime.monotonic()))


def hand_over(action: Generate) -> None:
    """Invoke a worker. What was acknowledged stays so where that fails: the next frame from the chat tries again."""
    try:
        functions.invoke(settings.generate_function, action.handover.payload())
    except (BotoCoreError, ClientError):
        logger.exception("no worker invoked", message_id=action.handover.message_id)
