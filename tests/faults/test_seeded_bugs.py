"""Each promise that the simulation checks has a bug seeded here, which its check finds."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from handlers.chat.errors import ConnectionGone, PostFailed
from handlers.chat.protocol import views
from handlers.chat.protocol.stream import Script
from handlers.chat.replies import hold, monitor
from handlers.chat.replies.relay import Relay
from handlers.chat.replies.worker import ReplyWorker
from handlers.chat.turns.actions import Performer
from tests.faults.seeds import seed_bug
from tests.faults.simulation.gateway import SimulatedGateway
from tests.faults.simulation.messages import SimulatedMessages
from tests.faults.simulation.scenario import check, check_without_faults, simulate
from tests.faults.simulation.services import (
    SimulatedAnswer,
    SimulatedFaults,
    SimulatedTurns,
)

WORLDS = 40


def found(promise, mix=None, worlds=WORLDS):
    """Simulate some worlds until one of them breaks the promise."""
    for number in range(worlds):
        run = simulate(("planted", number), mix)
        try:
            (check if mix else check_without_faults)(run)
        except AssertionError as broken:
            if str(broken).startswith(promise):
                return True
    return False


def test_without_a_seeded_bug_nothing_is_found():
    assert not found("")


def test_a_message_that_is_acknowledged_and_lost(monkeypatch):
    def forgetful(seal):
        def call(self, chat, reply, turn, title, announcement):
            sealed = seal(self, chat, reply, turn, title, announcement)
            messages = self.tables.messages[reply.chat_id]
            del messages[min(messages)]
            return sealed

        return call

    seed_bug(monkeypatch, SimulatedTurns, "seal", forgetful)
    assert found("an acknowledged message is lost")


def test_a_message_that_is_stored_again_when_it_is_sent_again(monkeypatch):
    def without_marker(accept):
        def call(self, chat, message, turn, change=None):
            self.tables.sent.clear()
            return accept(self, chat, message, turn, change)

        return call

    seed_bug(monkeypatch, SimulatedTurns, "accept", without_marker)
    monkeypatch.setattr(SimulatedMessages, "sent_as", lambda *_: None)
    # The acknowledgement is lost, and the client asks again when the reply is over.
    assert found("a message is stored twice", SimulatedFaults(post_fails=0.3))


def test_a_turn_that_begins_while_another_runs(monkeypatch):
    def always_free(begun):
        def call(self, user_id, chat_id, turn, previous, **values):
            chat = self.tables.chats[user_id, chat_id]
            self.tables.chats[user_id, chat_id] = replace(chat, turn=None, last_message_id=previous)
            return begun(self, user_id, chat_id, turn, previous, **values)

        return call

    seed_bug(monkeypatch, SimulatedTurns, "_begun", always_free)
    monkeypatch.setattr("handlers.chat.turns.lifecycle.check_free", lambda chat: None)
    assert found("not one reply to one message")


def test_a_reply_that_is_not_counted(monkeypatch):
    def uncounted(seal):
        def call(self, chat, reply, turn, title, announcement):
            key = chat.user_id, chat.chat_id
            count = self.tables.chats[key].message_count
            sealed = seal(self, chat, reply, turn, title, announcement)
            self.tables.chats[key] = replace(self.tables.chats[key], message_count=count)
            return sealed

        return call

    seed_bug(monkeypatch, SimulatedTurns, "seal", uncounted)
    assert found("a message is not counted")


def test_an_attempt_that_goes_on_with_the_words_of_the_last_one(monkeypatch):
    said = []

    def with_old_words(answer_words):
        def words(self):
            for delta in answer_words(self):
                said.append(delta.text)
                yield replace(delta, text="".join(said[-2:]))

        return words

    seed_bug(monkeypatch, SimulatedAnswer, "__iter__", with_old_words)
    assert found("the words of two attempts are mixed")


def test_a_word_that_is_lost_on_its_way_to_the_store(monkeypatch):
    def deaf(add):
        return lambda self, text: add(self, "" if "w2 " in text else text)

    seed_bug(monkeypatch, Relay, "add", deaf)
    assert found("a word is lost, doubled or out of order")


def test_a_dead_worker_whose_turn_nobody_takes_over(monkeypatch):
    monkeypatch.setattr("handlers.chat.turns.lifecycle.take_over", lambda *_: False)
    monkeypatch.setattr("tests.faults.simulation.chat.RETRIES", ())
    monkeypatch.setattr(ReplyWorker, "give_up", lambda *_: None)
    assert found("a turn never came to its end", SimulatedFaults(kill=0.01))


def test_a_takeover_whose_frames_carry_the_old_attempt(monkeypatch):
    def always_first(init):
        def call(self, gateway, start, *arguments):
            init(self, gateway, replace(start, attempt=1), *arguments)

        return call

    seed_bug(monkeypatch, Relay, "__init__", always_first)
    seed_bug(monkeypatch, views, "complete", _with_attempt_1)
    assert found("a device read what the reply does not say", SimulatedFaults(kill=0.01))


def _with_attempt_1(complete):
    return lambda *arguments: replace(complete(*arguments), attempt=1)


def test_a_reply_that_is_not_held_until_its_message_is_acknowledged(monkeypatch):
    monkeypatch.setattr(Relay, "hold", lambda self: None)
    assert found("a reply before its message")


def test_a_reply_that_is_held_for_less_time_than_its_message_may_take(monkeypatch):
    monkeypatch.setattr(hold, "HOLD_SECONDS", 1.0)
    assert found("a reply before its message", SimulatedFaults(freeze=0.02))


def test_a_message_that_is_noted_as_acknowledged_before_its_posts_have_ended(monkeypatch):
    def early(begin):
        def call(self, action):
            self._note_acknowledged(action.handover)
            begin(self, action)

        return call

    seed_bug(monkeypatch, Performer, "_begin", early)
    assert found("a reply before its message")


def test_a_reply_that_is_sealed_while_it_is_held(monkeypatch):
    # Then anybody may announce it, whom nothing holds.
    monkeypatch.setattr(Relay, "wait_for_release", lambda self: None)
    assert found("a reply before its message", SimulatedFaults(freeze=0.02))


def test_a_post_that_failed_and_is_not_tried_again(monkeypatch):
    def careless(post):
        def call(self, connection_id, text):
            with suppress(PostFailed):
                post(self, connection_id, text)

        return call

    seed_bug(monkeypatch, SimulatedGateway, "post", careless)
    monkeypatch.setattr("tests.faults.simulation.chat.SimulatedDevice.SILENCE", 10**9)
    assert found("a device waits for a reply that is over", SimulatedFaults(post_fails=0.2))


def test_an_end_that_comes_twice(monkeypatch):
    def twice(post):
        def call(self, connection_id, text):
            post(self, connection_id, text)
            if b"assistant_message_complete" in text:
                post(self, connection_id, text)

        return call

    seed_bug(monkeypatch, SimulatedGateway, "post", twice)
    assert found("not exactly one end")


def test_an_end_before_the_last_token(monkeypatch):
    def early(after):
        def call(self, cursor):
            if self.end is not None and cursor.started and not cursor.ended and not cursor.late:
                return self.end, replace(cursor, late=True)
            return after(self, replace(cursor, late=False))

        return call

    seed_bug(monkeypatch, Script, "after", early)
    # In most worlds all text is sent before the end: about 1 in 30 has a token left.
    assert found("something after the end", worlds=200)


def test_a_model_that_is_left_talking(monkeypatch):
    monkeypatch.setattr(SimulatedAnswer, "close", lambda self: None)
    assert found("a model's stream stays open")


def test_a_cancellation_that_is_looked_for_too_rarely(monkeypatch):
    monkeypatch.setattr(monitor, "POLL_SECONDS", 4.0)
    monkeypatch.setattr(monitor, "YOUNG_POLL_SECONDS", 4.0)
    assert found("cancelled too late", worlds=200)


def test_an_announcement_that_is_not_removed(monkeypatch):
    monkeypatch.setattr(SimulatedTurns, "announced", lambda *_: None)
    assert found("an announcement is not removed")


def test_a_failure_that_nobody_expects(monkeypatch):
    def fails(self, connection_id, text):
        raise ConnectionGone if self.slowness else ZeroDivisionError

    monkeypatch.setattr(SimulatedGateway, "post", fails)
    assert found("an unexpected exception")
