"""A reply worker with a scripted model, a recording gateway and a database."""

import itertools
from datetime import UTC, datetime, timedelta
from threading import Event

from handlers.chat.concurrency import Threads
from handlers.chat.cost import Prices
from handlers.chat.protocol.frames import FinishReason
from handlers.chat.records import Connection, Subscription
from handlers.chat.replies.llm import Delta
from handlers.chat.replies.worker import Replies
from handlers.chat.texts import RUSSIAN
from handlers.chat.turns.lifecycle import Handover

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
        self.stopped = Event()
        self.closed = False

    def answer(self, prompt):
        self.asked.append([(role.value, text) for role, text in prompt])
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
        assert self.stopped.wait(5)

    def stop(self):
        self.stopped.set()

    def close(self):
        self.closed = True


def join(store, name, resume=None, shown=None, now=NOON):
    store.add_connection(Connection(name, now))
    assert store.subscribe("alice", "chat", name, Subscription("first", resume, shown))
    store.bind_connection(name, "alice", "chat")


class InstantSleep(Threads):
    """A runtime whose sleep takes no time and calls `asleep` with the seconds."""

    def __init__(self, asleep):
        self.sleep = asleep


def reply_worker(store, gateway, model, sent=None, now=NOON, history_chars=1_000, threads=None, prices=None):
    workers = (f"worker {number}" for number in itertools.count(1))
    return Replies(
        store,
        gateway,
        model,
        RUSSIAN,
        prices or Prices(),
        history_chars,
        0.0,
        lambda user, frame: sent.append((user, frame)),
        now=now if callable(now) else lambda: now,
        new_id=lambda: f"{id(model)} {next(workers)}",
        threads=threads or Threads(),
    )


def make_reply(store, gateway, model, turn=TURN, remaining=900.0, **more):
    sent = []
    reply_worker(store, gateway, model, sent, **more).make(turn, lambda: remaining)
    return sent


def text_of(frames):
    return "".join(frame["data"]["token"] for frame in frames if frame["type"] == "assistant_message_token")
