"""A reply worker whose default assistant has an own agent, and a model that must not be asked."""

from __future__ import annotations

import threading

import pytest

from handlers.chat.assistants import Assistant
from handlers.chat.replies import agent_answers
from tests.support.assistants import assistants
from tests.support.reply_worker import TURN, ScriptedModel, reply_worker
from tests.support.waiting import HANGS


def agent_worker(store, gateway, reply, model=None, assistant=None, **more):
    """A worker whose default assistant replies with this function."""
    assistant = assistant or Assistant(reply=reply)
    return reply_worker(store, gateway, model or ScriptedModel(), [], assistants=assistants(default=assistant), **more)


def reply_with(store, gateway, reply, turn=TURN, remaining=900.0, **more):
    """Let an agent reply, and return the stored reply, None if there is none."""
    agent_worker(store, gateway, reply, **more).make(turn, lambda: remaining)
    return store.messages.get("chat", turn.message_id)


@pytest.fixture
def released():
    """An event that frees everything that hangs, at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture(autouse=True)
def grace(monkeypatch):
    """Return a function that sets the time which agents have to end: here they have as long as they need."""

    def set_grace(seconds):
        monkeypatch.setattr(agent_answers, "GRACE_SECONDS", seconds)

    set_grace(HANGS)
    return set_grace
