"""Limits on messages as a user meets them: what is refused, with what, and what it costs."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread

import pytest
from parley.dev_tokens import token

from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.limits.policy import Limits, QuotaUsage, ReplySlot, microseconds
from handlers.chat.protocol.frames import Authenticated, Error, UserMessage
from handlers.chat.records import Chat, Connection, FinishReason, Usage
from handlers.chat.replies.deltas import Delta
from handlers.chat.store.tables import ChatItem, UserItem
from handlers.chat.turns.actions import Close, Generate
from handlers.chat.turns.lifecycle import LEASE, accept
from handlers.chat.turns.quotas import MAX_TRIES, MessageQuota
from tests.support.conversation import answer, ask
from tests.support.limited_user import LimitedUser
from tests.support.recording_gateway import RecordingGateway
from tests.support.reply_worker import ScriptedModel, reply_worker
from tests.support.runtime import FakeRuntime
from tests.support.subscribers import bind

SECRET = "a secret of at least thirty-two bytes"


NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def user(store):
    """A user who may send two messages a minute."""
    return LimitedUser(MESSAGES_PER_MINUTE="2").sees("chat")


def is_limited(frame):
    return isinstance(frame, Error) and frame.code is ErrorCode.RATE_LIMITED


class TestAMessageTooMany:
    def test_is_refused_by_name_and_with_the_time_to_wait(self, user):
        user.says(), user.says()
        [post] = user.sends("message", message="Third", clientMessageId="mine")
        assert post.frame == Error(
            message="No more than 2 messages a minute",
            code=ErrorCode.RATE_LIMITED,
            retry_after=30,
            client_message_id="mine",
        )

    def test_is_not_stored_costs_no_write_and_can_be_sent_again(self, user):
        user.says(), user.says()
        chat, written = user.store.chats.get("alice", "chat"), user.store.users.attempts
        for _ in range(100):
            assert is_limited(user.says("Third", clientMessageId="mine"))
        assert user.store.users.attempts == written == 2
        assert user.store.chats.get("alice", "chat") == chat
        user.now += timedelta(seconds=30)
        assert isinstance(user.says("Third", clientMessageId="mine"), UserMessage)
        assert user.stored().count("Third") == 1

    def test_is_one_on_any_device_and_in_any_chat(self, user):
        user.says(), user.says()
        assert is_limited(user.sees("other").says())

    def test_is_not_another_users(self, user):
        user.says(), user.says()
        user.store.chats.add(Chat("bob", "bobs"), NOON)
        bind(user.store, "c1=", "bob", "bobs")
        assert isinstance(user.says(), UserMessage)

    def test_a_regenerated_reply_counts_as_one(self, user):
        user.says()
        [generate] = user.sends("regenerate")
        assert isinstance(generate, Generate)
        answer(user.store, generate.handover, now=user.now)
        [post] = user.sends("regenerate")
        assert is_limited(post.frame)
        assert is_limited(user.says())

    def test_a_repeat_is_acknowledged_and_does_not_count(self, user):
        first = user.says(clientMessageId="one")
        for _ in range(5):
            again = user.says(clientMessageId="one")
            assert (again.message_id, again.duplicate) == (first.message_id, True)
        user.says()
        assert is_limited(user.says())
        assert user.says(clientMessageId="one").duplicate
        assert user.store.users.attempts == 2

    def test_a_busy_chat_takes_nothing(self, user):
        user.sends("message", message="Hi")
        for kind, data in (("message", {"message": "more"}), ("regenerate", {})):
            [post] = user.sends(kind, **data)
            assert post.frame.code is ErrorCode.BUSY
        assert user.store.users.attempts == 1

    def test_a_message_that_is_refused_for_another_reason_is_not_counted(self, user):
        user.says(" "), user.says("x" * 10_001)
        assert user.store.users.attempts == 0

    def test_a_message_that_another_device_has_overtaken_takes_nothing(self, user):
        store, accept = user.store, user.store.turns.accept

        def overtaken(chat, message, turn, change, fork):
            store.turns.accept = accept
            ask(store, "m1", "m2")
            return accept(chat, message, turn, change, fork)

        store.turns.accept = overtaken
        [post] = user.sends("message", message="Hi")
        assert post.frame.code is ErrorCode.BUSY
        assert store.users.quota_usage("alice") == QuotaUsage()

    def test_a_message_of_another_chat_that_comes_first_is_counted_before_it(self, user):
        store, accept, usage = user.store, user.store.turns.accept, QuotaUsage("2026-11-23", 1, microseconds(NOON))

        def overtaken(chat, message, turn, change, fork):
            store.turns.accept = accept
            assert store.users.replace_quota_usage("alice", QuotaUsage(), usage)
            return accept(chat, message, turn, change, fork)

        store.turns.accept = overtaken
        assert isinstance(user.says(), UserMessage)
        assert store.users.quota_usage("alice").messages == 2
        assert user.stored() == ["Hello", "Hi"]

    def test_a_message_that_others_overtake_each_time_is_refused_in_the_end(self, user):
        store, accept, passed = user.store, user.store.turns.accept, []

        def overtaken(chat, message, turn, change, fork):
            passed.append(change)
            after = replace(change.before, day="2026-11-23", messages=len(passed), full_at=0)
            assert store.users.replace_quota_usage("alice", change.before, after)
            return accept(chat, message, turn, change, fork)

        store.turns.accept = overtaken
        refusal = user.says()
        assert (refusal.message, refusal.retry_after) == ("Too many messages at once", 1)
        assert (len(passed), user.stored()) == (MAX_TRIES, [])

    def test_a_user_who_is_gone_is_none(self, user):
        UserItem("alice").delete()
        assert user.says().code is ErrorCode.NOT_AUTHENTICATED
        assert user.store.users.quota_usage("alice") is None


def test_without_limits_a_repeat_is_known_while_its_reply_runs(store):
    user = LimitedUser().sees("chat")
    first, _ = user.sends("message", message="Hi", clientMessageId="one")
    [again] = user.sends("message", message="Hi", clientMessageId="one")
    assert again.frame == replace(first.frame, duplicate=True)


def test_without_limits_nothing_is_written(store):
    user = LimitedUser().sees("chat")
    for _ in range(30):
        assert isinstance(user.says(), UserMessage)
    assert (user.store.users.attempts, user.store.users.quota_usage("alice")) == (0, QuotaUsage())


def test_a_daily_limit_lasts_until_midnight(store):
    user = LimitedUser(MESSAGES_PER_DAY="2").sees("chat")
    user.says(), user.says()
    assert user.says().retry_after == 12 * 3600
    user.now += timedelta(hours=12)
    assert isinstance(user.says(), UserMessage)


class TestABudgetOfTokens:
    def turn(self, user, *script):
        [_, generate] = user.sends("message", message="x" * 90)
        self.worker(user, *script).make(generate.handover, lambda: 900.0)

    def worker(self, user, *script):
        model = ScriptedModel(*script)
        return reply_worker(user.store, RecordingGateway(), model, [], now=lambda: user.now, tokens_per_day=100)

    @pytest.fixture
    def user(self, store):
        return LimitedUser(TOKENS_PER_DAY="100").sees("chat")

    def used(self, user):
        return user.store.users.token_use("alice", "2026-11-23").tokens

    def test_is_what_the_server_counted_and_ends_the_day(self, user):
        self.turn(user, "Hello", Delta("", FinishReason.STOP, Usage(prompt_tokens=60, completion_tokens=39)))
        assert self.used(user) == 99
        self.turn(user, "Hello", Delta("", FinishReason.STOP, Usage(prompt_tokens=60, completion_tokens=1)))
        assert self.used(user) == 160
        refusal = user.says()
        assert (refusal.code, refusal.message) == (
            ErrorCode.RATE_LIMITED,
            "No more than 100 tokens of the model a day",
        )
        assert refusal.retry_after == 12 * 3600
        [post] = user.sends("regenerate")
        assert is_limited(post.frame)
        user.now += timedelta(hours=12)
        assert isinstance(user.says(), UserMessage)

    def test_is_held_by_a_reply_that_runs_and_the_client_is_told_to_come_back_soon(self, user):
        refusals = []
        asks_elsewhere = lambda: refusals.append(user.sees("other").says())  # noqa: E731
        self.turn(user, "Hello", asks_elsewhere, Delta("", FinishReason.STOP, Usage(60, 10)))
        [refusal] = refusals
        assert (refusal.code, refusal.retry_after) == (ErrorCode.RATE_LIMITED, 5)
        assert isinstance(user.says(), UserMessage)

    def test_takes_nothing_for_a_reply_that_the_model_was_never_asked_for(self, user, store):
        [_, generate] = user.sends("message", message="Hi")
        store.turns.cancel("alice", "chat", generate.handover.message_id)
        self.worker(user).make(generate.handover, lambda: 900.0)
        assert self.used(user) == 0

    def test_takes_a_reply_once_however_often_it_is_invoked(self, user):
        [_, generate] = user.sends("message", message="Hi")
        stop = Delta("", FinishReason.STOP, Usage(prompt_tokens=5, completion_tokens=5))
        for _ in range(5):
            self.worker(user, "Hello", stop).make(generate.handover, lambda: 900.0)
        assert self.used(user) == 10

    def test_takes_what_every_attempt_took_also_one_that_was_overtaken(self, user):
        [_, generate] = user.sends("message", message="Hi")
        stop = Delta("", FinishReason.STOP, Usage(prompt_tokens=5, completion_tokens=5))

        def overtaken():
            user.now += LEASE
            self.worker(user, "two", stop).make(replace(generate.handover, attempt=2), lambda: 900.0)

        worker = reply_worker(
            user.store,
            RecordingGateway(),
            ScriptedModel(Delta("one", None, Usage(prompt_tokens=5, completion_tokens=5)), overtaken),
            [],
            now=lambda: user.now,
            tokens_per_day=10_000,
            max_completion_tokens=40,
        )
        worker.make(generate.handover, lambda: 900.0)
        assert self.used(user) == 20


class TestRepliesAtOnce:
    @pytest.fixture
    def user(self, store):
        return LimitedUser(CONCURRENT_REPLIES="2")

    def starts(self, user, chat_id):
        return user.sees(chat_id).sends("message", message="Hi")[0].frame

    def test_so_many_run_and_the_next_is_refused_until_one_has_ended(self, user):
        first = user.sees("one").sends("message", message="Hi")[-1].handover
        assert isinstance(self.starts(user, "two"), UserMessage)
        refusal = self.starts(user, "three")
        assert (refusal.code, refusal.retry_after) == (ErrorCode.RATE_LIMITED, 5)
        assert refusal.message == "No more than 2 replies at once"
        answer(user.store, first)
        assert isinstance(self.starts(user, "three"), UserMessage)
        assert is_limited(self.starts(user, "four"))

    def test_one_after_the_other_there_may_be_any_number(self, user):
        for number in range(10):
            assert isinstance(user.sees(f"chat-{number}").says(), UserMessage)

    def test_a_worker_that_died_holds_its_place_no_longer_than_its_lease(self, user):
        self.starts(user, "one"), self.starts(user, "two")
        user.now += LEASE
        assert isinstance(self.starts(user, "three"), UserMessage)

    def test_a_chat_that_is_gone_holds_none(self, user):
        self.starts(user, "one"), self.starts(user, "two")
        ChatItem("alice", "one").delete()
        assert isinstance(self.starts(user, "three"), UserMessage)

    def test_a_turn_that_is_about_to_begin_holds_its_place_for_half_a_minute(self, user, store):
        for name in ("one", "two"):
            store.chats.add(Chat("alice", name), NOON)
            quota = MessageQuota(store, Limits(concurrent_replies=2), FakeRuntime(NOON))
            quota.use_message(Chat("alice", name), quota.read("alice"))
        assert is_limited(self.starts(user, "three"))
        user.now += timedelta(seconds=30)
        assert isinstance(self.starts(user, "three"), UserMessage)

    def test_its_item_does_not_grow(self, user, store):
        for number in range(10):
            user.sees(f"chat-{number}").says()
        assert len(store.users.quota_usage("alice").slots) <= 2


class TestTheStore:
    def test_usage_is_read_as_it_was_written(self, store):
        spent = QuotaUsage("2026-11-23", 3, 10**15 + 1, {"one": ReplySlot(10**15, "m1"), "two": ReplySlot(10**15)})
        assert store.users.replace_quota_usage("alice", QuotaUsage(), spent)
        assert store.users.quota_usage("alice") == spent
        assert store.users.get("alice").name == "Alice"

    def test_usage_is_written_only_from_its_last_value(self, store):
        first = QuotaUsage("2026-11-23", 1)
        assert store.users.replace_quota_usage("alice", QuotaUsage(), first)
        assert not store.users.replace_quota_usage("alice", QuotaUsage(), QuotaUsage("2026-11-23", 9))
        assert not store.users.replace_quota_usage("alice", QuotaUsage("2026-11-22", 1), QuotaUsage("2026-11-23", 9))
        assert store.users.quota_usage("alice") == first

    def test_spending_does_not_create_a_user(self, store):
        assert not store.users.replace_quota_usage("nobody", QuotaUsage(), QuotaUsage("2026-11-23", 1))
        assert store.users.quota_usage("nobody") is None

    def test_devices_at_once_never_get_more_than_the_limit(self, store):
        limits, devices, passed = Limits(messages_per_minute=7, concurrent_replies=100), 8, []
        quota, barrier, refused = MessageQuota(store, limits, FakeRuntime(NOON)), Barrier(8), []

        def device(number):
            barrier.wait()
            for message in range(4):
                try:
                    quota.use_message(Chat("alice", f"{number}-{message}"), quota.read("alice"))
                    passed.append(number)
                except Refused:
                    refused.append(number)

        threads = [Thread(target=device, args=(number,)) for number in range(devices)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(passed) == 7 == store.users.quota_usage("alice").messages
        assert len(refused) == devices * 4 - 7

    def test_places_are_never_more_than_there_may_be_at_once(self, store):
        passed, barrier = [], Barrier(6)
        quota = MessageQuota(store, Limits(concurrent_replies=3), FakeRuntime(NOON))

        def device(number):
            store.chats.add(Chat("alice", f"chat-{number}"), NOON)
            barrier.wait()
            try:
                quota.use_message(Chat("alice", f"chat-{number}"), quota.read("alice"))
                passed.append(number)
            except Refused:
                pass

        threads = [Thread(target=device, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(passed) == 3 == len(store.users.quota_usage("alice").slots)

    def test_messages_at_once_never_get_more_than_the_limit_and_each_that_passed_is_stored(self, store):
        quota, barrier = MessageQuota(store, Limits(messages_per_minute=7), FakeRuntime(NOON)), Barrier(8)
        passed, refused = [], []

        def device(number):
            chat = store.chats.add(Chat("alice", f"chat-{number}"), NOON)
            barrier.wait()
            for _ in range(4):
                try:
                    charge = quota.charge(quota.read("alice"))
                    accepted = accept(store, chat, "Hi", None, FakeRuntime(NOON), charge)
                    passed.append(accepted.message)
                    answer(store, accepted.handover)
                    chat = store.chats.get("alice", chat.chat_id)
                except Refused:
                    refused.append(number)

        threads = [Thread(target=device, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(passed) == 7 == store.users.quota_usage("alice").messages
        assert len(refused) == 8 * 4 - 7
        assert all(store.messages.get(each.chat_id, each.message_id) for each in passed)


class TestConnections:
    @pytest.fixture
    def user(self, store):
        user = LimitedUser(CONNECTIONS_PER_USER="3")
        store.connections.forget("c1=")
        return user

    def opens(self, user, name, age, owner="alice"):
        user.store.connections.add(Connection(name, NOON - timedelta(minutes=age), owner))

    def joins(self, user, name="new="):
        if user.store.connections.get(name) is None:
            user.store.connections.add(Connection(name, NOON))
        actions = []
        body = {"type": "join_chat", "data": {"token": token("alice", SECRET)}}
        user.commands.answer(json.dumps(body), name, actions.append, reference="ref")
        assert isinstance(actions[0].frame, Authenticated)
        return [action.connection_id for action in actions[1:] if isinstance(action, Close)]

    def test_below_the_limit_no_connection_is_closed(self, user):
        self.opens(user, "a=", 1), self.opens(user, "b=", 2)
        assert self.joins(user) == []

    def test_the_oldest_makes_way(self, user):
        self.opens(user, "a=", 1), self.opens(user, "b=", 3), self.opens(user, "c=", 2)
        assert self.joins(user) == ["b="]

    def test_rows_that_nobody_cleaned_up_do_not_count(self, user):
        for number in range(10):
            self.opens(user, f"dead-{number}=", 130)
        assert self.joins(user) == []

    def test_other_users_do_not_count(self, user):
        for number in range(10):
            self.opens(user, f"bobs-{number}=", 1, owner="bob")
        assert self.joins(user) == []

    def test_joining_again_closes_none(self, user):
        self.joins(user)
        self.opens(user, "a=", 1), self.opens(user, "b=", 2), self.opens(user, "c=", 3)
        assert self.joins(user) == []

    def test_a_lower_limit_is_reached_step_by_step(self, user):
        for number in range(10, 30):
            self.opens(user, f"c{number}=", number)
        assert self.joins(user) == [f"c{number}=" for number in range(29, 24, -1)]
