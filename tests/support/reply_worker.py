"""A reply worker with a scripted model, a recording gateway and a database."""

import itertools
from datetime import UTC, datetime, timedelta
from threading import Event

from handlers.chat.assistants.registry import Assistants
from handlers.chat.connections import OpenConnections
from handlers.chat.cost import Prices
from handlers.chat.records import Connection, FinishReason, Subscription
from handlers.chat.replies.attempt import ReplySettings
from handlers.chat.replies.deltas import Delta
from handlers.chat.replies.worker import ReplyWorker
from handlers.chat.settings import RUSSIAN, Pace, Reasoning
from handlers.chat.turns.lifecycle import Handover
from tests.support.runtime import FakeRuntime
from tests.support.subscribers import subscribe
from tests.support.waiting import HANGS

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


LATER = NOON + timedelta(seconds=16)


APOLOGY = "Извините, произошла ошибка при обработке вашего сообщения."


TURN = Handover("alice", "chat", "m2")


STOP = Delta("", FinishReason.STOP)


class ScriptedModel:
    """A model with a script: a text or a delta is said, a function is called, an exception is raised."""

    def __init__(self, *script):
        self.script = script
        self.asked = []
        self.questions = []
        self.stopped = Event()
        self.closed = False

    def answer(self, question):
        self.questions.append(question)
        self.asked.append([(each.role.value, each.text) for each in question.prompt])
        return self

    def __iter__(self):
        for step in self.script:
            if self.stopped.is_set():
                return
            if isinstance(step, Exception):
                raise step
            if callable(step):
                step()
            else:
                yield step if isinstance(step, Delta) else Delta(step)

    def until_stopped(self):
        """A step: the model is silent until somebody has had enough."""
        assert self.stopped.wait(HANGS)

    def stop(self):
        self.stopped.set()

    def close(self):
        self.closed = True


def join(store, name, resume=None, shown=None, now=NOON):
    store.connections.add(Connection(name, now))
    subscribe(store, name, Subscription("first", resume, shown))


def reply_worker(
    store,
    gateway,
    model,
    sent=None,
    now=NOON,
    history_chars=1_000,
    sleep=None,
    prices=None,
    tokens_per_day=0,
    max_completion_tokens=4_096,
    memory=None,
    monotonic=None,
    report=lambda record: None,
    hand_on=lambda handover: None,
    assistants=None,
    reasoning=Reasoning.HIDDEN,
    tool_result_bytes=32 * 1024,
):
    workers = (f"worker {number}" for number in itertools.count(1))
    runtime = FakeRuntime(now, lambda: f"{id(model)} {next(workers)}", sleep, monotonic)
    return ReplyWorker(
        store,
        OpenConnections(store, gateway, runtime),
        model,
        ReplySettings(
            RUSSIAN,
            prices or Prices(),
            history_chars,
            Pace(),
            tokens_per_day,
            max_completion_tokens,
            memory,
            assistants or Assistants(),
            reasoning,
            tool_result_bytes,
        ),
        lambda user, frame: sent.append((user, frame)),
        runtime,
        report,
        hand_on,
    )


def make_reply(store, gateway, model, turn=TURN, remaining=900.0, **more):
    sent = []
    reply_worker(store, gateway, model, sent, **more).make(turn, lambda: remaining)
    return sent


def text_of(frames):
    return "".join(frame["data"]["token"] for frame in frames if frame["type"] == "assistant_message_token")
