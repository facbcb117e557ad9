"""The simulated store keeps to what the real one is tested for."""

import pytest

from tests.faults.simulation.services import SimulatedStore
from tests.handlers.chat.store import test_store


@pytest.fixture
def store():
    return SimulatedStore()


@pytest.fixture
def chat(store):
    return store.chats.add(test_store.Chat("alice", "chat"), test_store.NOON)


class TestAccept(test_store.TestAccept):
    pass


class TestSeal(test_store.TestSeal):
    pass


class TestTurns(test_store.TestTurns):
    test_a_chat_that_was_deleted_is_not_brought_back = None


class TestSubscriptions:
    kept = test_store.TestChats.test_a_subscription_is_kept_as_it_is_and_the_newest_counts
    deleted = test_store.TestChats.test_subscribing_to_a_deleted_chat_does_not_bring_it_back
    between = test_store.TestChats.test_between_seal_and_announcement_only_who_was_shown_the_reply_is_let_in

    def test_a_subscription_is_kept_as_it_is(self, store, chat):
        TestSubscriptions.kept(self, store, chat)

    def test_a_deleted_chat_stays_deleted(self, store):
        TestSubscriptions.deleted(self, store)

    def test_between_seal_and_announcement_the_shown_alone_are_let_in(self, store, chat):
        TestSubscriptions.between(self, store, chat)
