"""Tests that every store must pass: DynamoDB's and the simulated one.

Test modules subclass these; they use the fixtures `store` and `chat`."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from handlers.chat.limits.budget import Reservation, TokenUse
from handlers.chat.limits.policy import QuotaChange, QuotaUsage, ReplySlot
from handlers.chat.records import (
    Acceptance,
    Announcement,
    Chat,
    Connection,
    FinishReason,
    Message,
    PartState,
    Resume,
    Role,
    Subscription,
    Turn,
    Usage,
)
from handlers.chat.turns.lifecycle import Handover
from tests.support.conversation import announcement_of, answer, ask, claim, regenerating, seal
from tests.support.parts import CALL, REASONING
from tests.support.subscribers import bind, subscribe

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


LATER = NOON + timedelta(seconds=20)


class SubscriptionContract:
    def a_connection(self, store):
        """Return a connection of alice's that is bound to her chat and not subscribed to it."""
        store.connections.add(Connection("BFaT_fAL-AMCKug=", NOON))
        return bind(store, "BFaT_fAL-AMCKug=", "alice", "chat")

    def test_a_subscription_is_kept_as_it_is_and_the_newest_counts(self, store, chat):
        resuming = Subscription("j2", Resume(message_id="m2", offset=7, attempt=2), shown="m0", until=LATER)
        connection = self.a_connection(store)
        assert store.chats.subscribe(connection, chat, Subscription("j1"))
        assert store.chats.subscribe(connection, chat, resuming)
        assert store.chats.get("alice", "chat").subscribers == {"BFaT_fAL-AMCKug=": resuming}

    def test_subscribing_to_a_deleted_chat_does_not_bring_it_back(self, store):
        assert not store.chats.subscribe(self.a_connection(store), Chat("alice", "chat"), Subscription("j1"))
        store.chats.unsubscribe("alice", "chat", "c1=")
        assert store.chats.get("alice", "chat") is None

    def test_between_seal_and_announcement_only_who_was_shown_the_reply_is_let_in(self, store, chat):
        connection = self.a_connection(store)
        handover = ask(store, "m1", "m2")
        before = store.chats.get("alice", "chat")
        seal(store, handover)
        shown = store.chats.get("alice", "chat")
        assert not store.chats.subscribe(connection, before, Subscription("j1"))
        assert store.chats.subscribe(connection, shown, Subscription("j1", shown="m2"))

    def test_a_chat_that_has_gone_on_since_it_was_shown_takes_no_subscriber(self, store, chat):
        connection = self.a_connection(store)
        answer(store, handover := ask(store, "m1", "m2"))
        assert handover.message_id == "m2"
        assert not store.chats.subscribe(connection, chat, Subscription("j1"))
        assert store.chats.subscribe(connection, store.chats.get("alice", "chat"), Subscription("j1"))

    @pytest.mark.parametrize("changed", [{"user_id": "bob"}, {"chat_id": None}, {"until": LATER}])
    def test_a_connection_that_has_changed_is_not_subscribed(self, store, chat, changed):
        connection = self.a_connection(store)
        assert store.connections.rebind(connection, replace(connection, **changed))
        assert not store.chats.subscribe(connection, chat, Subscription("j1"))
        assert store.chats.get("alice", "chat").subscribers == {}

    @pytest.mark.parametrize("changed", [{"user_id": "bob"}, {"chat_id": None}, {"until": LATER}])
    def test_a_row_is_changed_only_as_it_was_read(self, store, chat, changed):
        connection = self.a_connection(store)
        other = replace(connection, **changed)
        assert not store.connections.rebind(other, replace(connection, chat_id="other"))
        assert store.connections.get("BFaT_fAL-AMCKug=") == connection

    @pytest.mark.parametrize("subscribed", [True, False])
    @pytest.mark.parametrize(
        "changed", [{"user_id": "bob", "chat_id": None}, {"chat_id": None}, {"chat_id": "other"}, {"until": LATER}, {}]
    )
    def test_a_row_and_its_subscription_change_together(self, store, chat, changed, subscribed):
        connection = self.a_connection(store)
        if subscribed:
            assert store.chats.subscribe(connection, chat, Subscription("j1"))
        after = replace(connection, **changed)
        assert store.connections.rebind(connection, after)
        assert store.connections.get("BFaT_fAL-AMCKug=") == after
        stays = after.chat_id == "chat" and subscribed
        kept = {"BFaT_fAL-AMCKug=": Subscription("j1", until=after.until)} if stays else {}
        assert store.chats.get("alice", "chat").subscribers == kept

    def test_forgetting_ends_the_subscription_with_the_row(self, store, chat):
        connection = self.a_connection(store)
        assert store.chats.subscribe(connection, chat, Subscription("j1"))
        store.connections.forget("BFaT_fAL-AMCKug=")
        assert store.connections.get("BFaT_fAL-AMCKug=") is None
        assert store.chats.get("alice", "chat").subscribers == {}
        assert not store.chats.subscribe(connection, chat, Subscription("j1"))

    def test_a_connection_in_a_deleted_chat_can_leave_it(self, store):
        connection = self.a_connection(store)
        assert store.connections.rebind(connection, replace(connection, chat_id=None))
        assert store.chats.get("alice", "chat") is None


class AcceptContract:
    def test_a_message_is_stored_and_counted_and_begins_its_turn(self, store, chat):
        ask(store, "m1", "m2", client_message_id="mine")
        kept = store.chats.get("alice", "chat")
        assert (kept.message_count, kept.last_message_id) == (1, "m2")
        assert kept.turn == Turn("m2", NOON + timedelta(seconds=15))
        assert store.messages.get("chat", "m1").content == "Hi"
        assert store.messages.sent_as("chat", "mine") == "m1"
        assert store.messages.sent_as("chat", "other") is None

    def refused(self, store, message_id="m3", client_message_id=None, **other):
        message = replace(store.messages.get("chat", "m1"), message_id=message_id, client_message_id=client_message_id)
        before = store.chats.get("alice", "chat")
        outcome = store.turns.accept(replace(before, **other), message, Turn("m4", LATER))
        assert outcome is Acceptance.CHAT_CHANGED
        assert store.chats.get("alice", "chat") == before
        assert [each.message_id for each in store.messages.newest_first("chat")] in (["m1"], ["m2", "m1"])

    def test_nothing_is_stored_while_a_turn_runs_its_lease_over_or_not(self, store, chat):
        ask(store, "m1", "m2")
        self.refused(store)

    def test_nothing_is_stored_for_a_client_id_that_was_used(self, store, chat):
        answer(store, ask(store, "m1", "m2", client_message_id="mine"))
        self.refused(store, client_message_id="mine")

    def test_nothing_is_stored_where_the_chat_has_gone_on(self, store, chat):
        answer(store, ask(store, "m1", "m2"))
        self.refused(store, last_message_id=None)

    def test_nothing_is_stored_where_a_device_has_joined_that_is_not_known(self, store, chat):
        answer(store, ask(store, "m1", "m2"))
        store.connections.add(Connection("c1=", NOON))
        subscribe(store, "c1=", Subscription("j1"))
        self.refused(store, joins=0)
        subscribe(store, "c1=", Subscription("j2"))
        self.refused(store, joins=1)
        ask(store, "m3", "m4")

    def test_a_device_that_has_left_holds_nobody_up(self, store, chat):
        store.connections.add(Connection("c1=", NOON))
        subscribe(store, "c1=", Subscription("j1"))
        before = store.chats.get("alice", "chat")
        store.connections.forget("c1=")
        message = Message("chat", "m1", Role.USER, "Hi", NOON)
        assert store.turns.accept(before, message, Turn("m2", LATER)) is Acceptance.STORED

    def test_what_it_takes_from_the_quotas_is_written_with_it(self, store, chat):
        accept = partial(store.turns.accept, chat, Message("chat", "m1", Role.USER, "Hi", NOON), Turn("m2", LATER))
        before, after = store.users.quota_usage("alice"), QuotaUsage("2026-11-23", 1, slots={"chat": ReplySlot(7)})
        assert accept(QuotaChange(before, after)) is Acceptance.STORED
        assert store.users.quota_usage("alice") == after

    @pytest.mark.parametrize("client_message_id", [None, "mine"])
    def test_nothing_is_stored_if_the_quotas_have_changed(self, store, chat, client_message_id):
        passed = QuotaUsage("2026-11-23", 1)
        assert store.users.replace_quota_usage("alice", QuotaUsage(), passed)
        message = Message("chat", "m1", Role.USER, "Hi", NOON, client_message_id)
        outcome = store.turns.accept(
            chat, message, Turn("m2", LATER), QuotaChange(QuotaUsage(), QuotaUsage("2026-11-23", 9))
        )
        assert outcome is Acceptance.QUOTA_CHANGED
        assert store.chats.get("alice", "chat") == chat
        assert store.messages.get("chat", "m1") is None
        assert store.messages.sent_as("chat", "mine") is None
        assert store.users.quota_usage("alice") == passed

    @pytest.mark.parametrize("moved", [False, True])
    def test_nothing_is_taken_from_the_quotas_if_the_chat_has_changed(self, store, chat, moved):
        ask(store, "m1", "m2")
        usage = QuotaUsage("2026-11-23", 1)
        assert store.users.replace_quota_usage("alice", QuotaUsage(), usage)
        before = QuotaUsage() if moved else usage
        message = Message("chat", "m3", Role.USER, "Hi", NOON)
        outcome = store.turns.accept(chat, message, Turn("m4", LATER), QuotaChange(before, QuotaUsage("2026-11-23", 2)))
        assert outcome is Acceptance.CHAT_CHANGED
        assert store.users.quota_usage("alice") == usage

    def test_nothing_is_stored_in_another_users_chat(self, store, chat):
        answer(store, ask(store, "m1", "m2"))
        self.refused(store, user_id="bob")

    def test_a_reply_that_is_being_announced_holds_nobody_up(self, store, chat):
        seal(store, ask(store, "m1", "m2"))
        ask(store, "m3", "m4")
        assert store.chats.get("alice", "chat").turn.message_id == "m4"


class TurnsContract:
    def test_one_of_two_claims_of_the_same_attempt_succeeds(self, store, chat):
        ask(store, "m1", "m2")
        turn = store.chats.get("alice", "chat").turn
        claimed = store.turns.claim("alice", "chat", turn, "w1", LATER)
        assert claimed.turn == replace(turn, attempt=1, worker="w1", lease_until=LATER)
        assert store.turns.claim("alice", "chat", turn, "w2", LATER) is None

    def test_a_worker_that_was_overtaken_can_write_nothing(self, store, chat):
        handover = ask(store, "m1", "m2")
        zombie = claim(store, handover)
        store.turns.claim("alice", "chat", zombie, "w2", LATER)
        assert store.turns.extend("alice", "chat", zombie, LATER) is None
        assert seal(store, handover, turn=zombie) is False
        assert store.messages.get("chat", "m2") is None

    def test_one_of_several_takeovers_succeeds(self, store, chat):
        ask(store, "m1", "m2")
        turn = store.chats.get("alice", "chat").turn
        assert store.turns.take_over("alice", "chat", turn, LATER) is True
        assert store.turns.take_over("alice", "chat", turn, LATER + timedelta(seconds=1)) is False

    def test_a_turn_is_acknowledged_once_and_stays_so(self, store, chat):
        turn = Turn("m2", LATER, acknowledging=True)
        store.turns.accept(chat, Message("chat", "m1", Role.USER, "Hi", NOON), turn)
        store.turns.acknowledged("alice", "chat", "m0")
        assert store.chats.get("alice", "chat").turn.acknowledging
        assert store.turns.claim("alice", "chat", turn, "w1", LATER).turn.acknowledging
        store.turns.acknowledged("alice", "chat", "m2")
        seen = store.chats.watch("alice", "chat", certain=True).turn
        assert (seen.acknowledging, seen.worker, seen.attempt) == (False, "w1", 1)
        store.turns.acknowledged("alice", "chat", "m2")
        assert not store.chats.get("alice", "chat").turn.acknowledging

    def test_a_turn_that_is_over_cannot_be_acknowledged(self, store, chat):
        answer(store, ask(store, "m1", "m2"))
        before = store.chats.get("alice", "chat")
        store.turns.acknowledged("alice", "chat", "m2")
        assert store.chats.get("alice", "chat") == before

    def test_a_cancellation_is_of_one_reply(self, store, chat):
        handover = ask(store, "m1", "m2")
        assert store.turns.cancel("alice", "chat", "m0") is False
        assert store.turns.cancel("alice", "chat", "m2") is True
        assert store.chats.get("alice", "chat").turn.cancelled
        seal(store, handover)
        assert store.turns.cancel("alice", "chat", "m2") is False


class SealContract:
    def test_a_reply_is_kept_with_its_end_and_gives_the_chat_its_title(self, store, chat):
        usage = Usage(prompt_tokens=3, completion_tokens=1)
        seal(store, ask(store, "m1", "m2"), finish_reason=FinishReason.LENGTH, usage=usage, title="Hi")
        reply = store.messages.get("chat", "m2")
        assert (reply.content, reply.finish_reason, reply.usage, reply.attempt) == ("Hello", "length", usage, 1)
        kept = store.chats.get("alice", "chat")
        assert (kept.title, kept.message_count, kept.turn) == ("Hi", 2, None)
        assert kept.announcements == {announcement_of("m2")}

    def test_a_reply_is_kept_with_its_parts(self, store, chat):
        parts = (REASONING, replace(CALL, index=1, offset=5, state=PartState.DONE, result="sun"))
        seal(store, ask(store, "m1", "m2"), parts=parts)
        assert store.messages.get("chat", "m2").parts == parts

    def test_a_title_that_somebody_gave_stays(self, store):
        store.chats.add(Chat("alice", "chat", "Mine"), NOON)
        seal(store, ask(store, "m1", "m2"), title="Hi")
        assert store.chats.get("alice", "chat").title == "Mine"

    def test_a_reply_is_sealed_once(self, store, chat):
        handover = ask(store, "m1", "m2")
        turn = claim(store, handover)
        assert seal(store, handover, "first", turn=turn) is True
        assert seal(store, handover, "second", turn=turn) is False
        assert store.messages.get("chat", "m2").content == "first"
        assert store.chats.get("alice", "chat").message_count == 2

    def test_a_regenerated_reply_takes_the_place_of_the_old_one(self, store, chat):
        answer(store, ask(store, "m1", "m2"))
        turn = regenerating("m3", "m2", after="m1")
        assert store.turns.begin(store.chats.get("alice", "chat"), turn, LATER)
        claimed = store.turns.claim("alice", "chat", turn, "w", LATER).turn
        assert [each.message_id for each in store.messages.newest_first("chat")] == ["m2", "m1"]
        handover = Handover("alice", "chat", "m3")
        seal(store, handover, "Better", turn=claimed)
        assert [each.content for each in store.messages.newest_first("chat")] == ["Better", "Hi"]
        assert [each.content for each in store.messages.newest_first("chat", leaf="m2")] == ["Hello", "Hi"]
        assert store.chats.get("alice", "chat").message_count == 3

    def test_an_empty_reply_is_stored_as_such(self, store, chat):
        seal(store, ask(store, "m1", "m2"), "")
        assert store.messages.get("chat", "m2").content == ""


class AnnouncementsContract:
    first, second = announcement_of("m2"), announcement_of("m4")

    def announcements(self, store):
        return store.chats.get("alice", "chat").announcements

    def test_a_new_turn_leaves_the_announcement_of_the_earlier_reply(self, store, chat):
        seal(store, ask(store, "m1", "m2"))
        handover = ask(store, "m3", "m4")
        assert self.announcements(store) == {self.first}
        seal(store, handover)
        assert self.announcements(store) == {self.first, self.second}
        store.turns.announced("alice", "chat", self.first)
        assert self.announcements(store) == {self.second}
        store.turns.announced("alice", "chat", self.second)
        store.turns.announced("alice", "chat", self.second)
        assert self.announcements(store) == frozenset()

    def test_the_announcement_of_a_regenerated_reply_names_the_reply_that_it_replaced(self, store, chat):
        answer(store, ask(store, "m1", "m2"))
        turn = regenerating("m3", "m2", after="m1")
        store.turns.begin(store.chats.get("alice", "chat"), turn, LATER)
        claimed = store.turns.claim("alice", "chat", turn, "w", LATER)
        reply = Message("chat", "m3", Role.ASSISTANT, "Better", NOON)
        announcement = Announcement("m3", LATER, replaces="m2")
        assert store.turns.seal(claimed, reply, claimed.turn, None, announcement)
        assert self.announcements(store) == {announcement}

    def test_one_of_several_takeovers_succeeds_and_the_old_worker_removes_nothing(self, store, chat):
        seal(store, ask(store, "m1", "m2"))
        kept = store.chats.get("alice", "chat")
        own = replace(self.first, lease_until=LATER)
        assert store.turns.take_over_announcement(kept, self.first, own) is True
        other = replace(self.first, lease_until=LATER + timedelta(seconds=1))
        assert store.turns.take_over_announcement(kept, self.first, other) is False
        store.turns.announced("alice", "chat", self.first)
        assert self.announcements(store) == {own}


class TokensContract:
    first, second = (Reservation.of(f"m2#{attempt}", 60, NOON, 900.0) for attempt in (1, 2))

    def used(self, store):
        return store.users.token_use("alice", "2026-11-23")

    def test_a_day_begins_with_nothing(self, store):
        assert self.used(store) == TokenUse()

    def test_a_reservation_counts_from_the_start_and_is_kept_as_it_is(self, store):
        assert store.users.reserve_tokens("alice", self.first, 100) is True
        assert self.used(store) == TokenUse(60, frozenset([self.first]))
        assert store.users.token_use("bob", "2026-11-23") == TokenUse()
        assert store.users.token_use("alice", "2026-11-24") == TokenUse()

    def test_there_is_room_as_long_as_something_is_left(self, store):
        assert store.users.reserve_tokens("alice", self.first, 61) is True
        assert store.users.reserve_tokens("alice", self.second, 61) is True
        third = replace(self.first, attempt="m3#1")
        assert store.users.reserve_tokens("alice", third, 120) is False
        assert self.used(store) == TokenUse(120, frozenset([self.first, self.second]))

    def test_a_reservation_is_booked_once(self, store):
        assert store.users.reserve_tokens("alice", self.first, 1_000) is True
        assert store.users.reserve_tokens("alice", self.first, 1_000) is False
        assert self.used(store).tokens == 60

    def test_a_reservation_is_settled_once_with_less_or_with_more(self, store):
        for reservation, tokens in ((self.first, 10), (self.second, 75)):
            assert store.users.reserve_tokens("alice", reservation, 1_000)
            assert store.users.settle_tokens("alice", reservation, tokens) is True
            assert store.users.settle_tokens("alice", reservation, tokens) is False
        assert self.used(store) == TokenUse(85)

    def test_what_was_not_reserved_is_not_settled(self, store):
        assert store.users.settle_tokens("alice", self.first, 10) is False
        assert store.users.reserve_tokens("alice", self.first, 1_000)
        assert store.users.settle_tokens("alice", self.second, 10) is False
        assert self.used(store) == TokenUse(60, frozenset([self.first]))
