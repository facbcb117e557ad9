"""The frame `approve`, and the other frames while a turn waits for its user."""

from datetime import timedelta

import pytest
from parley.dev_tokens import token

from handlers.chat.errors import ErrorCode
from handlers.chat.limits.policy import ReplySlot
from handlers.chat.protocol import frames
from handlers.chat.protocol.frames import CallAnswered
from handlers.chat.records import Step, StepCall, ToolCall
from handlers.chat.turns import approvals, lifecycle, steps
from handlers.chat.turns.actions import FanOut, Generate, Post
from handlers.chat.turns.lifecycle import Handover
from handlers.chat.turns.quotas import _is_taken
from tests.support.command_client import NOON, SECRET, CommandClient
from tests.support.conversation import answer, ask, claim

ONE, TWO = "m2-01-00", "m2-01-01"
LAST_DAY = NOON + timedelta(days=7)
NEXT = Handover("alice", "chat", "m2", 2, chars=(2,))


@pytest.fixture
def waiting(store, client, chat):
    """A chat in which `c1=` is, whose turn waits for two calls to be approved."""
    client.joins("alice", "chat")
    turn = claim(store, ask(store, "m1", "m2"))
    asked = tuple(StepCall(ToolCall("pay", "{}"), needs_approval=True) for _ in range(2))
    turn = steps.store_step(store, store.chats.get("alice", "chat"), turn, Step(1, 1, asked, "I ask."), NOON)
    assert approvals.wait(store, store.chats.get("alice", "chat"), turn, LAST_DAY)[0] is approvals.Wait.WAITS


def turn_of(store):
    return store.chats.get("alice", "chat").turn


def handovers(actions):
    return [each.handover for each in actions if isinstance(each, Generate)]


class TestApprove:
    def test_each_device_hears_the_answer_and_the_last_one_starts_a_worker(self, client, store, waiting):
        other = CommandClient(store, "c2=")
        other.joins("alice", "chat")
        first = CallAnswered(message_id="m2", call_id=ONE, approved=True)
        assert other.sends("approve", "r1", callId=ONE, approved=True) == [
            Post(first, "c2=", "r1"),
            FanOut((first,), frozenset({"c1="})),
        ]
        assert turn_of(store).waiting
        second = CallAnswered(message_id="m2", call_id=TWO, approved=False)
        assert client.sends("approve", "r2", callId=TWO, approved=False) == [
            Post(second, "c1=", "r2"),
            Generate(NEXT),
            FanOut((second,), frozenset({"c2="})),
        ]
        assert not turn_of(store).waiting

    def test_the_same_answer_again_is_accepted_and_starts_no_other_worker(self, client, waiting):
        client.sends("approve", callId=ONE, approved=True)
        assert len(handovers(client.sends("approve", callId=TWO, approved=True))) == 1
        again = client.sends("approve", callId=TWO, approved=True)
        assert again[0].frame == CallAnswered(message_id="m2", call_id=TWO, approved=True)
        assert handovers(again) == []

    def test_of_two_devices_the_first_counts(self, client, store, waiting):
        other = CommandClient(store, "c2=")
        other.joins("alice", "chat")
        client.sends("approve", callId=ONE, approved=True)
        assert other.is_refused("approve", callId=ONE, approved=False) is ErrorCode.NOTHING_TO_APPROVE

    @pytest.mark.parametrize("call_id", ["made-up", "m2-01-02", "m2-02-00", "m1-01-00", "m2"])
    def test_a_call_that_nobody_asked_for_is_refused(self, client, store, waiting, call_id):
        assert client.is_refused("approve", callId=call_id, approved=True) is ErrorCode.NOTHING_TO_APPROVE
        assert turn_of(store).awaits == {ONE, TWO}

    def test_another_users_call_is_none(self, client, store, waiting):
        stranger = CommandClient(store, "c9=")
        stranger.joins("bob")
        assert stranger.is_refused("approve", callId=ONE, approved=True) is ErrorCode.NOT_AUTHENTICATED
        [created] = stranger.is_answered("create_chat")
        assert created.type == "chat_created"
        assert stranger.is_refused("approve", callId=ONE, approved=True) is ErrorCode.NOTHING_TO_APPROVE
        assert turn_of(store).awaits == {ONE, TWO}

    def test_a_call_of_a_reply_that_is_over_is_refused(self, client, store, waiting):
        for call_id in (ONE, TWO):
            client.sends("approve", callId=call_id, approved=True)
        answer(store, NEXT)
        for call_id in (ONE, TWO):
            assert client.is_refused("approve", callId=call_id, approved=True) is ErrorCode.NOTHING_TO_APPROVE

    def test_a_chat_that_was_deleted_meanwhile_is_not_found(self, client, store, waiting):
        store.chats.delete("alice", "chat", NOON)
        assert client.is_refused("approve", callId=ONE, approved=True) is ErrorCode.CHAT_NOT_FOUND

    @pytest.mark.parametrize("data", [{}, {"callId": ONE}, {"callId": ONE, "approved": "yes"}, {"approved": True}])
    def test_an_answer_says_which_call_and_yes_or_no(self, client, waiting, data):
        assert client.is_refused("approve", **data) is ErrorCode.INVALID_FORMAT


class TestMeanwhile:
    def test_the_chat_is_busy(self, client, waiting):
        assert client.is_refused("message", message="Hi") is ErrorCode.BUSY
        assert client.is_refused("regenerate") is ErrorCode.BUSY

    def test_a_frame_does_nothing_until_the_time_is_up(self, client, store, waiting):
        assert handovers(client.sends("ping")) == []
        client.now = LAST_DAY
        assert handovers(client.sends("join_chat", token=token("alice", SECRET), chatId="chat")) == [NEXT]
        assert (turn_of(store).waiting, turn_of(store).awaits) == (False, frozenset())

    def test_a_ping_goes_on_where_the_one_who_answered_has_died(self, client, store, waiting):
        chat = store.chats.get("alice", "chat")
        for call_id in (ONE, TWO):
            assert approvals.answer(store, store.chats.get("alice", "chat"), call_id, True)
        assert turn_of(store).waiting
        assert handovers(client.sends("ping")) == [lifecycle.handover_of(chat, turn_of(store))]
        assert handovers(client.sends("ping")) == []

    def test_a_cancellation_starts_the_worker_that_seals(self, client, store, waiting):
        assert handovers(client.sends("cancel")) == [NEXT]
        assert (turn_of(store).cancelled, turn_of(store).waiting) == (True, False)
        assert client.is_refused("approve", callId=ONE, approved=True) is ErrorCode.NOTHING_TO_APPROVE

    def test_a_ping_goes_on_where_the_one_who_cancelled_has_died(self, client, store, waiting):
        store.turns.cancel("alice", "chat", "m2")
        assert handovers(client.sends("ping")) == [NEXT]

    def test_who_joins_is_sent_what_there_is_of_the_reply(self, client, store, waiting):
        client.sends("approve", callId=ONE, approved=True)
        other = CommandClient(store, "c2=")
        _, joined, start, *parts = other.joins("alice", "chat")
        assert joined.reply == frames.RunningReply(message_id="m2", attempt=1)
        assert (start.type, start.content, start.attempt) == ("assistant_message_start", "I ask.", 1)
        assert [(each.part.call_id, each.part.state) for each in parts] == [(ONE, "running"), (TWO, "waiting")]

    def test_who_resumes_is_sent_the_rest(self, client, store, waiting):
        other = CommandClient(store, "c2=")
        other.joins("alice")
        resume = {"messageId": "m2", "offset": 2, "attempt": 1}
        _, _, start, *parts = other.is_answered("join_chat", chatId="chat", resume=resume)
        assert (start.offset, start.content, len(parts)) == (2, "ask.", 2)

    def test_the_turn_takes_none_of_the_users_reply_slots(self, store, waiting):
        chat = store.chats.get("alice", "chat")
        assert not _is_taken(ReplySlot(0, "m0"), chat, NOON)
        assert approvals.answer(store, chat, ONE, True)
        assert approvals.answer(store, store.chats.get("alice", "chat"), TWO, True)
        chat = store.chats.get("alice", "chat")
        assert approvals.resume(store, chat, chat.turn, NOON)
        assert _is_taken(ReplySlot(0, "m0"), store.chats.get("alice", "chat"), NOON)
