"""The simulated store passes the tests of the real one."""

import pytest

from handlers.chat.records import Chat
from tests.faults.simulation.store import SimulatedStore
from tests.support.approvals_contract import ApprovalsContract
from tests.support.steps_contract import StepsContract
from tests.support.store_contract import (
    NOON,
    AcceptContract,
    AnnouncementsContract,
    SealContract,
    SubscriptionContract,
    TokensContract,
    TurnsContract,
)


@pytest.fixture
def store():
    return SimulatedStore()


@pytest.fixture
def chat(store):
    return store.chats.add(Chat("alice", "chat"), NOON)


class TestSubscriptions(SubscriptionContract):
    pass


class TestAccept(AcceptContract):
    pass


class TestTurns(TurnsContract):
    pass


class TestAnnouncements(AnnouncementsContract):
    pass


class TestSeal(SealContract):
    pass


class TestTokens(TokensContract):
    pass


class TestSteps(StepsContract):
    pass


class TestApprovals(ApprovalsContract):
    pass
