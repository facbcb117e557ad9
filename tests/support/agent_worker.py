"""A reply worker whose default assistant has an own agent, and a model that must not be asked."""

from __future__ import annotations

from handlers.chat.assistants import Assistant
from tests.support.assistants import assistants
from tests.support.reply_worker import TURN, ScriptedModel, reply_worker


def agent_worker(store, gateway, reply, model=None, assistant=None, **more):
    """A worker whose default assistant replies with this function."""
    assistant = assistant or Assistant(reply=reply)
    return reply_worker(store, gateway, model or ScriptedModel(), [], assistants=assistants(default=assistant), **more)


def reply_with(store, gateway, reply, turn=TURN, remaining=900.0, **more):
    """Let an agent reply, and return the stored reply, None if there is none."""
    agent_worker(store, gateway, reply, **more).make(turn, lambda: remaining)
    return store.messages.get("chat", turn.message_id)
