"""The life of a turn, decision by decision. A lost answer of the database changes nothing."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from handlers.chat import ids
from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.records import Chat, FinishReason, Message, Role, Turn
from handlers.chat.store import StoreError
from handlers.chat.turns import branches, lifecycle
from handlers.chat.turns.lifecycle import LEASE, Handover, LeaseCheck, TurnState
from tests.support.conversation import announcement_of, answer, ask, claim, seal
from tests.support.runtime import FakeRuntime
from tests.support.stores import LossyStore

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOON + timedelta(seconds=16)


TURN = Turn("m2", NOON + LEASE)


LOST = pytest.mark.parametrize("lost", [StoreError("no answer"), False], ids=["error", "no"])


@pytest.fixture
def chat(store):
    return store.chats.add(Chat("alice", "chat"), NOON)


@pytest.fixture
def new_id():
    numbers = itertools.count(1)
    return lambda: f"m{next(numbers):02}"


def accept(store, new_id, text="Hi", client_message_id=None, now=NOON, chat=None):
    chat = chat or store.chats.get("alice", "chat")
    return lifecycle.accept(store, chat, text, client_message_id, FakeRuntime(now, new_id))


def refusal(call, *arguments, **more):
    with pytest.raises(Refused) as refused:
        call(*arguments, **more)
    return refused.value.code


@pytest.mark.parametrize(
    ("turn", "moment", "expected"),
    [
        (None, NOON, TurnState.IDLE),
        (TURN, NOON, TurnState.RUNNING),
        (TURN, LATER, TurnState.ABANDONED),
    ],
)
def test_the_state_of_a_turn(turn, moment, expected):
    assert lifecycle.state_of(turn, moment) is expected


OWN = replace(TURN, attempt=1, worker="w1")


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        (OWN, LeaseCheck.HELD),
        (replace(OWN, lease_until=LATER), LeaseCheck.HELD),
        (replace(OWN, cancelled=True), LeaseCheck.CANCELLED),
        (replace(OWN, worker="w2", attempt=2), LeaseCheck.LOST),
        (replace(OWN, worker="w2", attempt=2, cancelled=True), LeaseCheck.LOST),
        (replace(OWN, message_id="m4"), LeaseCheck.LOST),
        (None, LeaseCheck.LOST),
    ],
)
def test_the_lease_check_of_a_worker(turn, expected):
    assert lifecycle.check_lease(Chat("alice", "chat", turn=turn), OWN) is expected


def test_a_deleted_chat_is_a_lost_turn():
    assert lifecycle.check_lease(None, OWN) is LeaseCheck.LOST


def test_a_lease_is_renewed_every_five_seconds():
    assert not lifecycle.renewal_due(TURN, NOON + timedelta(seconds=4.9))
    assert lifecycle.renewal_due(TURN, NOON + timedelta(seconds=5))


class TestAccept:
    def test_it_begins_a_turn(self, store, chat, new_id):
        accepted = accept(store, new_id)
        assert accepted.message.message_id == "m01"
        assert accepted.handover == Handover("alice", "chat", "m02", attempt=1)
        assert store.chats.get("alice", "chat").turn == Turn("m02", NOON + LEASE)

    @pytest.mark.parametrize("now", [NOON, LATER], ids=["alive", "abandoned"])
    def test_a_running_reply_is_busy(self, store, chat, new_id, now):
        ask(store, "m1", "m2")
        assert refusal(accept, store, new_id, now=now) is ErrorCode.BUSY

    def test_a_chat_that_is_gone_is_not_found(self, store, new_id):
        assert refusal(accept, store, new_id, chat=Chat("alice", "gone")) is ErrorCode.CHAT_NOT_FOUND

    @pytest.mark.parametrize("over", [False, True], ids=["running", "over"])
    def test_the_same_client_id_is_the_same_message(self, store, chat, new_id, over):
        first = accept(store, new_id, client_message_id="mine")
        if over:
            answer(store, first.handover)
        again = accept(store, new_id, "Something else", client_message_id="mine")
        assert (again.message, again.handover) == (first.message, None)
        assert store.chats.get("alice", "chat").message_count == (2 if over else 1)

    @pytest.mark.parametrize("client_message_id", [None, "mine"])
    @LOST
    def test_a_lost_answer_is_not_mistaken_for_a_refusal(self, store, chat, new_id, lost, client_message_id):
        accepted = accept(LossyStore(store, "accept", lost), new_id, client_message_id=client_message_id)
        assert accepted.handover == Handover("alice", "chat", "m02")
        assert [each.message_id for each in store.messages.newest_first("chat")] == ["m01"]

    def test_a_failure_that_wrote_nothing_stays_one(self, store, chat, new_id, monkeypatch):
        def fails(*_):
            raise StoreError("throttled")

        monkeypatch.setattr(store.turns, "accept", fails)
        with pytest.raises(StoreError):
            accept(store, new_id)
        assert store.chats.get("alice", "chat").message_count == 0

    def test_two_devices_at_once_one_is_first_the_other_busy(self, store, chat, new_id):
        seen = store.chats.get("alice", "chat")
        assert accept(store, new_id, chat=seen).handover
        assert refusal(accept, store, new_id, chat=seen) is ErrorCode.BUSY
        assert store.chats.get("alice", "chat").message_count == 1

    def test_a_chat_that_went_on_since_it_was_read_is_read_again(self, store, chat, new_id):
        seen = store.chats.get("alice", "chat")
        answer(store, accept(store, new_id).handover)
        assert accept(store, new_id, chat=seen).handover
        assert store.chats.get("alice", "chat").message_count == 3


class TestOrder:
    def test_a_clock_that_lags_does_not_put_a_message_before_an_older_one(self):
        late, early = "019b0000-0000-7abc-8def-0123456789ab", "019a0000-0000-7111-8222-333344445555"
        following = ids.after(late, early)
        assert following > late
        assert UUID(following).version == 7
        assert following[-12:] == early[-12:]
        assert ids.after(early, late) == late
        assert ids.after(None, early) == early


class TestClaim:
    def test_the_first_claim_is_the_first_attempt(self, store, chat):
        handover = ask(store, "m1", "m2")
        claimed = lifecycle.claim(store, handover, "w1", NOON)
        assert (claimed.turn.attempt, claimed.turn.worker, claimed.turn.lease_until) == (1, "w1", NOON + LEASE)

    def test_a_duplicate_invocation_claims_nothing(self, store, chat):
        handover = ask(store, "m1", "m2")
        lifecycle.claim(store, handover, "w1", NOON)
        assert lifecycle.claim(store, handover, "w2", NOON) is None

    def test_a_retry_claims_the_turn_once_the_lease_is_over(self, store, chat):
        handover = ask(store, "m1", "m2")
        lifecycle.claim(store, handover, "w1", NOON)
        claimed = lifecycle.claim(store, handover, "w2", LATER)
        assert (claimed.turn.attempt, claimed.turn.worker) == (2, "w2")

    def test_a_takeover_hands_the_turn_on_although_the_lease_is_new(self, store, chat):
        ask(store, "m1", "m2")
        seen = store.chats.get("alice", "chat")
        assert lifecycle.take_over(store, seen, seen.turn, LATER)
        handover = lifecycle.handover_of(seen, seen.turn)
        assert lifecycle.claim(store, handover, "w1", LATER).turn.attempt == 1
        assert lifecycle.claim(store, handover, "w2", LATER) is None

    def test_an_invocation_of_a_turn_that_is_over_claims_nothing(self, store, chat):
        handover = ask(store, "m1", "m2")
        answer(store, handover)
        assert lifecycle.claim(store, handover, "w2", LATER) is None
        ask(store, "m3", "m4")
        assert lifecycle.claim(store, handover, "w2", LATER + LEASE) is None
        assert lifecycle.claim(store, Handover("alice", "gone", "m2"), "w", NOON) is None

    @pytest.mark.parametrize("newer_turn", [False, True])
    def test_a_reply_that_nobody_announced_is_announced_by_one(self, store, chat, newer_turn):
        handover = ask(store, "m1", "m2")
        seal(store, handover)
        if newer_turn:
            ask(store, "m3", "m4")
        assert lifecycle.claim(store, handover, "w2", LATER) is None
        assert lifecycle.claim_announcement(store, handover, NOON) is None
        assert lifecycle.claim_announcement(store, replace(handover, message_id="m4"), LATER) is None
        seen, own = lifecycle.claim_announcement(store, handover, LATER)
        assert own.lease_until == LATER + LEASE
        late = next(iter(seen.announcements))
        assert lifecycle.take_over_announcement(store, seen, late, LATER + timedelta(milliseconds=1)) is None
        assert lifecycle.claim_announcement(store, handover, LATER) is None

    @LOST
    def test_a_lost_answer_does_not_stop_a_takeover_of_an_announcement(self, store, chat, lost):
        seal(store, ask(store, "m1", "m2"))
        seen = store.chats.get("alice", "chat")
        lossy = LossyStore(store, "take_over_announcement", lost)
        assert lifecycle.take_over_announcement(lossy, seen, announcement_of("m2"), LATER)

    @pytest.mark.parametrize("lost", [StoreError("no answer"), None], ids=["error", "no"])
    def test_a_lost_answer_is_not_mistaken_for_anothers_claim(self, store, chat, lost):
        handover = ask(store, "m1", "m2")
        assert lifecycle.claim(LossyStore(store, "claim", lost), handover, "w1", NOON).turn.worker == "w1"

    @LOST
    def test_a_lost_answer_does_not_stop_a_takeover(self, store, chat, lost):
        ask(store, "m1", "m2")
        seen = store.chats.get("alice", "chat")
        assert lifecycle.take_over(LossyStore(store, "take_over", lost), seen, seen.turn, LATER)


class TestSeal:
    def reply(self, turn):
        return Message("chat", "m2", Role.ASSISTANT, "Hello", NOON, None, FinishReason.STOP, attempt=turn.attempt)

    @LOST
    def test_a_lost_answer_is_not_mistaken_for_anothers_reply(self, store, chat, lost):
        turn = claim(store, ask(store, "m1", "m2"))
        assert lifecycle.seal(LossyStore(store, "seal", lost), chat, turn, self.reply(turn), None, NOON)
        assert store.messages.get("chat", "m2").content == "Hello"

    def test_a_worker_that_was_overtaken_is_told_so(self, store, chat):
        handover = ask(store, "m1", "m2")
        zombie = claim(store, handover)
        answer(store, handover, "Hi there", turn=claim(store, handover, now=LATER, worker="w2"))
        assert lifecycle.seal(store, chat, zombie, self.reply(zombie), None, LATER) is None
        assert store.messages.get("chat", "m2").content == "Hi there"


class TestCancel:
    @pytest.mark.parametrize("named", ["m2", None])
    def test_the_running_reply_is_cancelled(self, store, chat, named):
        ask(store, "m1", "m2")
        lifecycle.cancel(store, store.chats.get("alice", "chat"), named)
        assert store.chats.get("alice", "chat").turn.cancelled

    def test_twice_is_once(self, store, chat):
        ask(store, "m1", "m2")
        for _ in range(2):
            lifecycle.cancel(store, store.chats.get("alice", "chat"), "m2")

    def test_a_stale_id_cancels_nothing(self, store, chat):
        answer(store, ask(store, "m1", "m2"))
        ask(store, "m3", "m4")
        assert refusal(lifecycle.cancel, store, store.chats.get("alice", "chat"), "m2") is ErrorCode.NOTHING_TO_CANCEL
        assert not store.chats.get("alice", "chat").turn.cancelled

    def test_a_cancellation_that_comes_too_late_misses_the_next_turn(self, store, chat):
        handover = ask(store, "m1", "m2")
        seen = store.chats.get("alice", "chat")
        answer(store, handover)
        ask(store, "m3", "m4")
        assert refusal(lifecycle.cancel, store, seen, None) is ErrorCode.NOTHING_TO_CANCEL
        assert not store.chats.get("alice", "chat").turn.cancelled

    def test_without_a_running_reply_nothing_can_be_cancelled(self, store, chat):
        assert refusal(lifecycle.cancel, store, chat, None) is ErrorCode.NOTHING_TO_CANCEL


class TestRegenerate:
    def test_the_last_reply_is_to_be_replaced(self, store, chat, new_id):
        answer(store, accept(store, new_id).handover)
        handover = branches.regenerate(store, store.chats.get("alice", "chat"), FakeRuntime(NOON, new_id))
        assert (handover.message_id, handover.attempt) == ("m03", 1)
        turn = Turn("m03", NOON + LEASE, replaces="m02", after="m01", fork="m02")
        assert store.chats.get("alice", "chat").turn == turn

    def test_while_a_reply_runs_it_is_busy(self, store, chat, new_id):
        accept(store, new_id)
        seen = store.chats.get("alice", "chat")
        assert refusal(branches.regenerate, store, seen, FakeRuntime(NOON, new_id)) is ErrorCode.BUSY

    def test_without_a_reply_there_is_nothing_to_regenerate(self, store, chat, new_id):
        assert refusal(branches.regenerate, store, chat, FakeRuntime(NOON, new_id)) is ErrorCode.NOTHING_TO_REGENERATE

    @LOST
    def test_a_lost_answer_is_not_mistaken_for_a_refusal(self, store, chat, new_id, lost):
        answer(store, accept(store, new_id).handover)
        seen = store.chats.get("alice", "chat")
        assert (
            branches.regenerate(LossyStore(store, "begin", lost), seen, FakeRuntime(NOON, new_id)).message_id == "m03"
        )


@pytest.mark.parametrize(("length", "title"), [(50, "x" * 50), (51, "x" * 50 + "...")])
def test_a_title_has_at_most_fifty_characters_and_dots(length, title):
    assert lifecycle.title_of("x" * length) == title


@pytest.mark.parametrize("text", ["one\ntwo", "  one\r\n\n two\t", "one\u2028two\n", "one\x0btwo"])
def test_a_title_is_one_line(text):
    assert lifecycle.title_of(text) == "one two"


def test_white_space_takes_no_room_in_a_title():
    assert lifecycle.title_of("\n" * 100 + "Tea") == "Tea"
