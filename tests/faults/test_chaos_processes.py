"""Chaos around real processes: the same text everywhere, one reply to each message, one end on each connection."""

from __future__ import annotations

import asyncio
import os

import pytest

from tests.faults.chaos import CHATS, Chaos
from tests.faults.chaos_checks import check_chaos, check_deleted
from tests.faults.reading import Reading
from tests.faults.seeds import SEED
from tests.faults.users import plan
from tests.support.devices import Emulator
from tests.support.unlimited import UNLIMITED
from tests.support.waiting import until

SECONDS = float(os.environ.get("PARLEY_CHAOS_SECONDS", "30"))
"""How long everything is struck."""

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def emulator():
    variables = {"PARLEY_DYNAMODB": os.environ["PARLEY_TEST_DYNAMODB"]} if "PARLEY_TEST_DYNAMODB" in os.environ else {}
    emulator = Emulator(
        PARLEY_FAULTS=os.devnull,
        PARLEY_USERS=",".join(f"user{number}" for number in range(CHATS)),
        PARLEY_RETRY_DELAY="16",
        PARLEY_ENVIRONMENTS="40",
        PARLEY_TOKENS_PER_SECOND="500",
        OPENAI_FIRST_TOKEN_SECONDS="3",
        OPENAI_TOKEN_SECONDS="2",
        **UNLIMITED,
        **variables,
    )
    yield emulator
    emulator.stop()


def test_every_text_is_right_and_every_end_comes_once_but_for_the_documented_case(emulator):
    print(f"PARLEY_SEED={SEED}")
    outcome = asyncio.run(Chaos(emulator, SEED).run(SECONDS))
    print(f"{len(outcome.conversations)} chats, {dict(outcome.faults)}")
    survivors = check_chaos(emulator, outcome)
    until(lambda: is_erased(emulator, outcome))
    print(f"{len(survivors)} surviving connections, {check_deleted(emulator, outcome)} deleted chats")
    assert survivors


def is_erased(emulator, outcome):
    try:
        check_deleted(emulator, outcome)
    except AssertionError:
        return False
    return True


class TestPlantedFaults:
    """Faults that the checks must find, without anything else that is struck."""

    def found(self, emulator, promise, *faults):
        """Let two users talk until a check finds the fault. A rejoin may hide it, so there is more than one try."""
        for number in range(5):
            plan(emulator, "PUT", faults=[{"times": None, **fault} for fault in faults])
            outcome = asyncio.run(Chaos(emulator, ("planted", number), chats=2, strikes=False).run(3))
            try:
                check_chaos(emulator, outcome)
            except AssertionError as broken:
                if promise in str(broken):
                    return True
        return False

    def test_an_end_that_is_posted_twice(self, emulator):
        assert self.found(
            emulator, "an end too many", {"point": "post", "do": "twice", "match": ["assistant_message_complete"]}
        )

    def test_a_last_piece_that_is_lost(self, emulator):
        assert self.found(
            emulator,
            "another text",
            {"point": "post", "do": "lose", "match": ["assistant_message_token"]},
        )

    def test_a_client_that_does_not_cut_the_overlap(self, emulator, monkeypatch):
        def take(self, data, piece):
            self.text += piece

        monkeypatch.setattr(Reading, "take", take)
        assert self.found(
            emulator, "another text", {"point": "post", "do": "twice", "match": ["assistant_message_token"]}
        )
