"""Chaos in a simulated world: the same text everywhere, and one end for each reply on over 1,000 connections."""

from __future__ import annotations

from dataclasses import replace

import pytest

from handlers.chat.protocol import stream, views
from handlers.chat.protocol.stream import Script
from handlers.chat.records import Chat
from handlers.chat.turns.join import Joining
from tests.faults.seeds import SEED, seed_bug
from tests.faults.simulation.chaos import check_chaos, simulate_chaos
from tests.faults.simulation.services import SimulatedServices
from tests.faults.simulation.turns import SimulatedTurns

CONNECTIONS = 1_000


@pytest.fixture(autouse=True)
def small_frames(monkeypatch):
    """Let replies be longer than a frame: pieces have few characters, and the end of a long reply has no text."""
    monkeypatch.setattr(stream, "MAX_PIECE_CHARS", 16)

    def without_long_text(complete):
        def call(*arguments):
            frame = complete(*arguments)
            return frame if frame.length < 40 else replace(frame, content=None)

        return call

    seed_bug(monkeypatch, views, "complete", without_long_text)


def found(promise):
    """Simulate some worlds until one of them breaks the promise."""
    for number in range(300):
        run = simulate_chaos(("planted", number))
        try:
            check_chaos(run)
        except AssertionError as broken:
            if str(broken).startswith(promise):
                return True
    return False


def test_every_text_is_right_and_every_end_comes_once_but_for_the_documented_case():
    survivors, number, deleted, second_ends = 0, 0, 0, 0
    while survivors < CONNECTIONS:
        print(f"PARLEY_SEED={SEED} chaos {number}")
        run = simulate_chaos((SEED, "chaos", number))
        check_chaos(run)
        deleted += run.deleted
        second_ends += sum(len(each.completes) > 1 for device in run.devices for each in device.readings.values())
        survivors, number = survivors + len(run.survivors), number + 1
    print(f"{number} worlds, {deleted} deleted chats, {second_ends} second ends")
    assert deleted > 0


class TestSeededBugs:
    def test_an_announcement_without_the_text(self, monkeypatch):
        seed_bug(monkeypatch, Script, "from_here", lambda rest: lambda self, cursor: list(rest(self, cursor))[-1:])
        assert found("a device has another text than is stored")

    def test_a_join_that_sends_what_the_worker_sends_too(self, monkeypatch):
        def catch_up(self, resume, chat):
            if resume and (reply := self._stored_reply(resume, chat)):
                script = stream.stored(reply, "…")
                yield from script.from_here(script.resume(resume))

        monkeypatch.setattr(Joining, "_catch_up", catch_up)
        assert found("an end too many")

    def test_a_write_that_brings_a_deleted_chat_back(self, monkeypatch):
        def resurrecting(changed):
            def call(self, user_id, chat_id, change):
                kept = self.tables.chats.setdefault((user_id, chat_id), Chat(user_id, chat_id))
                return changed(self, kept.user_id, kept.chat_id, change)

            return call

        seed_bug(monkeypatch, SimulatedTurns, "_changed", resurrecting)
        assert found("a deleted chat came back")

    def test_a_store_that_stands_still_for_ever(self, monkeypatch):
        seed_bug(monkeypatch, SimulatedServices, "freeze_store", lambda freeze: lambda self, _: freeze(self, 10**9))
        assert found("a turn never came to its end")
