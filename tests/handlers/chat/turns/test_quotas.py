"""Limits on messages as a user meets them: what is refused, with what, and what it costs."""

import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread

import pytest
from parley.dev_tokens import token

from handlers.chat.concurrency import Runtime
from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.identity.keys import SharedSecret
from handlers.chat.identity.tokens import Authenticator
from handlers.chat.limits.policy import Limits, QuotaUsage, ReplySlot
from handlers.chat.protocol.frames import Authenticated, Error, UserMessage
from handlers.chat.records import Chat, Connection, FinishReason, Message, Role, Usage
from handlers.chat.replies.llm import Delta
from handlers.chat.settings import Settings
from handlers.chat.store import Store
from handlers.chat.store.tables import ChatItem, UserItem
from handlers.chat.store.users import Users
from handlers.chat.turns import lifecycle
from handlers.chat.turns.actions import Close, Generate
from handlers.chat.turns.commands import Commands
from handlers.chat.turns.lifecycle import LEASE
from handlers.chat.turns.quotas import MessageQuota
from tests.support.conversation import answer, ask, claim
from tests.support.reply_worker import RecordingGateway, ScriptedModel, reply_worker
from tests.support.runtime import FakeRuntime
from tests.support.unlimited import NO_FRAME_LIMIT, UNLIMITED

SECRET = "a secret of at least thirty-two bytes"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class CountingUsers(Users):
    """Counts the writes of quota usage."""

    def __init__(self):
        self.attempts = 0

    def replace_quota_usage(self, user_id, before, after):
        self.attempts += 1
        return super().replace_quota_usage(user_id, before, after)


class Person:
    """Alice, with one device that goes from chat to chat, under some limits."""

    def __init__(self, **limits):
        self.store = Store(Runtime())
        self.store.users = CountingUsers()
        self.now = NOON
        self.ids = (f"id-{number:04}" for number in itertools.count())
        settings = Settings.of({**UNLIMITED, "JWT_SECRET": SECRET, **limits})
        self.commands = Commands(
            self.store,
            Authenticator(
                SharedSecret(SECRET), lambda identity: self.store.users.get(identity.user_id) is not None, Runtime()
            ),
            settings,
            FakeRuntime(lambda: self.now, lambda: next(self.ids)),
            NO_FRAME_LIMIT,
        )
        self.store.connections.add(Connection("c1=", NOON, "alice"))

    def sees(self, chat_id):
        self.store.chats.add(Chat("alice", chat_id), NOON)
        assert self.store.connections.bind("c1=", "alice", chat_id)
        return self

    def sends(self, kind, **data):
        actions = []
        self.commands.answer(json.dumps({"type": kind, "data": data}), "c1=", actions.append, reference="ref")
        return actions

    def says(self, text="Hi", **data):
        """Send a message, and have it answered at once where it is accepted. Returns the first frame."""
        actions = self.sends("message", message=text, **data)
        for action in actions:
            if isinstance(action, Generate):
                answer(self.store, action.handover, now=self.now)
        return actions[0].frame

    def stored(self, chat_id="chat"):
        return [message.content for message in self.store.messages.newest_first(chat_id)]


@pytest.fixture
def person(store):
    """One who may send two messages a minute."""
    return Person(MESSAGES_PER_MINUTE="2").sees("chat")


def is_limited(frame):
    return isinstance(frame, Error) and frame.code is ErrorCode.RATE_LIMITED


class TestAMessageTooMany:
    def test_is_refused_by_name_and_with_the_time_to_wait(self, person):
        person.says(), person.says()
        [post] = person.sends("message", message="Third", clientMessageId="mine")
        assert post.frame == Error(
            message="No more than 2 messages a minute",
            code=ErrorCode.RATE_LIMITED,
            retry_after=30,
            client_message_id="mine",
        )

    def test_is_not_stored_costs_no_write_and_can_be_sent_again(self, person):
        person.says(), person.says()
        chat, written = person.store.chats.get("alice", "chat"), person.store.users.attempts
        for _ in range(100):
            assert is_limited(person.says("Third", clientMessageId="mine"))
        assert person.store.users.attempts == written == 2
        assert person.store.chats.get("alice", "chat") == chat
        person.now += timedelta(seconds=30)
        assert isinstance(person.says("Third", clientMessageId="mine"), UserMessage)
        assert person.stored().count("Third") == 1

    def test_is_one_on_any_device_and_in_any_chat(self, person):
        person.says(), person.says()
        assert is_limited(person.sees("other").says())

    def test_is_not_another_users(self, person):
        person.says(), person.says()
        person.store.chats.add(Chat("bob", "bobs"), NOON)
        person.store.connections.bind("c1=", "bob", "bobs")
        assert isinstance(person.says(), UserMessage)

    def test_a_regenerated_reply_counts_as_one(self, person):
        person.says()
        [generate] = person.sends("regenerate")
        assert isinstance(generate, Generate)
        answer(person.store, generate.handover, now=person.now)
        [post] = person.sends("regenerate")
        assert is_limited(post.frame)
        assert is_limited(person.says())

    def test_a_repeat_is_acknowledged_and_does_not_count(self, person):
        first = person.says(clientMessageId="one")
        for _ in range(5):
            again = person.says(clientMessageId="one")
            assert (again.message_id, again.duplicate) == (first.message_id, True)
        person.says()
        assert is_limited(person.says())
        assert person.says(clientMessageId="one").duplicate
        assert person.store.users.attempts == 2

    def test_a_busy_chat_takes_nothing(self, person):
        person.sends("message", message="Hi")
        for kind, data in (("message", {"message": "more"}), ("regenerate", {})):
            [post] = person.sends(kind, **data)
            assert post.frame.code is ErrorCode.BUSY
        assert person.store.users.attempts == 1

    def test_what_cannot_be_sent_at_all_takes_nothing(self, person):
        person.says(" "), person.says("x" * 10_001)
        assert person.store.users.attempts == 0

    def test_a_user_who_is_gone_is_none(self, person):
        UserItem("alice").delete()
        assert person.says().code is ErrorCode.NOT_AUTHENTICATED
        assert person.store.users.quota_usage("alice") is None


def test_without_limits_nothing_is_written(store):
    person = Person().sees("chat")
    for _ in range(30):
        assert isinstance(person.says(), UserMessage)
    assert (person.store.users.attempts, person.store.users.quota_usage("alice")) == (0, QuotaUsage())


def test_a_daily_limit_lasts_until_midnight(store):
    person = Person(MESSAGES_PER_DAY="2").sees("chat")
    person.says(), person.says()
    assert person.says().retry_after == 12 * 3600
    person.now += timedelta(hours=12)
    assert isinstance(person.says(), UserMessage)


class TestABudgetOfTokens:
    def turn(self, person, *script, counts=True):
        [_, generate] = person.sends("message", message="x" * 90)
        worker = reply_worker(
            person.store, RecordingGateway(), ScriptedModel(*script), [], now=lambda: person.now, counts_tokens=counts
        )
        worker.make(generate.handover, lambda: 900.0)

    @pytest.fixture
    def person(self, store):
        return Person(TOKENS_PER_DAY="100").sees("chat")

    def used(self, person):
        return person.store.users.tokens_used("alice", "2026-11-23")

    def test_is_what_the_server_counted_and_ends_the_day(self, person):
        self.turn(person, "Hello", Delta("", FinishReason.STOP, Usage(prompt_tokens=60, completion_tokens=39)))
        assert self.used(person) == 99
        self.turn(person, "Hello", Delta("", FinishReason.STOP, Usage(prompt_tokens=60, completion_tokens=1)))
        assert self.used(person) == 160
        refusal = person.says()
        assert (refusal.code, refusal.message) == (
            ErrorCode.RATE_LIMITED,
            "No more than 100 tokens of the model a day",
        )
        assert refusal.retry_after == 12 * 3600
        [post] = person.sends("regenerate")
        assert is_limited(post.frame)
        person.now += timedelta(hours=12)
        assert isinstance(person.says(), UserMessage)

    def test_is_estimated_where_the_server_does_not_say(self, person):
        self.turn(person, "y" * 30, Delta("", FinishReason.STOP))
        assert self.used(person) == (90 + 30) / 3

    def test_takes_nothing_where_there_is_none(self, person):
        self.turn(person, "Hello", Delta("", FinishReason.STOP), counts=False)
        assert self.used(person) == 0

    def test_takes_nothing_for_a_reply_that_the_model_was_never_asked_for(self, person, store):
        [_, generate] = person.sends("message", message="Hi")
        store.turns.cancel("alice", "chat", generate.handover.message_id)
        model = ScriptedModel()
        worker = reply_worker(store, RecordingGateway(), model, [], now=lambda: person.now, counts_tokens=True)
        worker.make(generate.handover, lambda: 900.0)
        assert self.used(person) == 0

    def test_takes_a_reply_once_however_often_it_is_invoked(self, person):
        [_, generate] = person.sends("message", message="Hi")
        stop = Delta("", FinishReason.STOP, Usage(prompt_tokens=5, completion_tokens=5))
        for _ in range(5):
            gateway, model = RecordingGateway(), ScriptedModel("Hello", stop)
            worker = reply_worker(person.store, gateway, model, [], now=lambda: person.now, counts_tokens=True)
            worker.make(generate.handover, lambda: 900.0)
        assert self.used(person) == 10

    def test_takes_only_what_is_sealed(self, person, store):
        """The seal and its tokens are one transaction: of a worker that was overtaken neither is stored."""
        handover = ask(store, "m1", "m2")
        zombie = claim(store, handover)
        store.turns.extend("alice", "chat", zombie, NOON)
        claim(store, replace(handover, attempt=2), now=NOON + LEASE, worker="next")
        reply = Message("chat", "m2", Role.ASSISTANT, "Hello", NOON)
        assert not lifecycle.seal(store, store.chats.get("alice", "chat"), zombie, reply, None, NOON, tokens=10)
        assert self.used(person) == 0


class TestRepliesAtOnce:
    @pytest.fixture
    def person(self, store):
        return Person(CONCURRENT_REPLIES="2")

    def starts(self, person, chat_id):
        return person.sees(chat_id).sends("message", message="Hi")[0].frame

    def test_so_many_run_and_the_next_is_refused_until_one_has_ended(self, person):
        first = person.sees("one").sends("message", message="Hi")[-1].handover
        assert isinstance(self.starts(person, "two"), UserMessage)
        refusal = self.starts(person, "three")
        assert (refusal.code, refusal.retry_after) == (ErrorCode.RATE_LIMITED, 5)
        assert refusal.message == "No more than 2 replies at once"
        answer(person.store, first)
        assert isinstance(self.starts(person, "three"), UserMessage)
        assert is_limited(self.starts(person, "four"))

    def test_one_after_the_other_there_may_be_any_number(self, person):
        for number in range(10):
            assert isinstance(person.sees(f"chat-{number}").says(), UserMessage)

    def test_a_worker_that_died_holds_its_place_no_longer_than_its_lease(self, person):
        self.starts(person, "one"), self.starts(person, "two")
        person.now += LEASE
        assert isinstance(self.starts(person, "three"), UserMessage)

    def test_a_chat_that_is_gone_holds_none(self, person):
        self.starts(person, "one"), self.starts(person, "two")
        ChatItem("alice", "one").delete()
        assert isinstance(self.starts(person, "three"), UserMessage)

    def test_a_turn_that_is_about_to_begin_holds_its_place_for_half_a_minute(self, person, store):
        for name in ("one", "two"):
            store.chats.add(Chat("alice", name), NOON)
            MessageQuota(store, Limits(concurrent_replies=2), FakeRuntime(NOON)).use_message(Chat("alice", name))
        assert is_limited(self.starts(person, "three"))
        person.now += timedelta(seconds=30)
        assert isinstance(self.starts(person, "three"), UserMessage)

    def test_its_item_does_not_grow(self, person, store):
        for number in range(10):
            person.sees(f"chat-{number}").says()
        assert len(store.users.quota_usage("alice").slots) <= 2


class TestTheStore:
    def test_what_is_spent_is_given_back(self, store):
        spent = QuotaUsage("2026-11-23", 3, 10**15 + 1, {"one": ReplySlot(10**15, "m1"), "two": ReplySlot(10**15)})
        assert store.users.replace_quota_usage("alice", QuotaUsage(), spent)
        assert store.users.quota_usage("alice") == spent
        assert store.users.get("alice").name == "Alice"

    def test_only_who_knows_what_is_spent_spends(self, store):
        first = QuotaUsage("2026-11-23", 1)
        assert store.users.replace_quota_usage("alice", QuotaUsage(), first)
        assert not store.users.replace_quota_usage("alice", QuotaUsage(), QuotaUsage("2026-11-23", 9))
        assert not store.users.replace_quota_usage("alice", QuotaUsage("2026-11-22", 1), QuotaUsage("2026-11-23", 9))
        assert store.users.quota_usage("alice") == first

    def test_nobody_is_made_by_spending(self, store):
        assert not store.users.replace_quota_usage("nobody", QuotaUsage(), QuotaUsage("2026-11-23", 1))
        assert store.users.quota_usage("nobody") is None

    def test_devices_at_once_never_get_more_than_the_limit(self, store):
        limits, devices, passed = Limits(messages_per_minute=7, concurrent_replies=100), 8, []
        quota, barrier, refused = MessageQuota(store, limits, FakeRuntime(NOON)), Barrier(8), []

        def device(number):
            barrier.wait()
            for message in range(4):
                try:
                    quota.use_message(Chat("alice", f"{number}-{message}"))
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
                quota.use_message(Chat("alice", f"chat-{number}"))
                passed.append(number)
            except Refused:
                pass

        threads = [Thread(target=device, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(passed) == 3 == len(store.users.quota_usage("alice").slots)


class TestConnections:
    @pytest.fixture
    def person(self, store):
        person = Person(CONNECTIONS_PER_USER="3")
        store.connections.forget("c1=")
        return person

    def opens(self, person, name, age, user="alice"):
        person.store.connections.add(Connection(name, NOON - timedelta(minutes=age), user))

    def joins(self, person, name="new="):
        if person.store.connections.get(name) is None:
            person.store.connections.add(Connection(name, NOON))
        actions = []
        body = {"type": "join_chat", "data": {"token": token("alice", SECRET)}}
        person.commands.answer(json.dumps(body), name, actions.append, reference="ref")
        assert isinstance(actions[0].frame, Authenticated)
        return [action.connection_id for action in actions[1:] if isinstance(action, Close)]

    def test_where_there_is_room_none_is_closed(self, person):
        self.opens(person, "a=", 1), self.opens(person, "b=", 2)
        assert self.joins(person) == []

    def test_the_oldest_makes_way(self, person):
        self.opens(person, "a=", 1), self.opens(person, "b=", 3), self.opens(person, "c=", 2)
        assert self.joins(person) == ["b="]

    def test_rows_that_nobody_cleaned_up_do_not_count(self, person):
        for number in range(10):
            self.opens(person, f"dead-{number}=", 130)
        assert self.joins(person) == []

    def test_other_users_do_not_count(self, person):
        for number in range(10):
            self.opens(person, f"bobs-{number}=", 1, user="bob")
        assert self.joins(person) == []

    def test_joining_again_closes_none(self, person):
        self.joins(person)
        self.opens(person, "a=", 1), self.opens(person, "b=", 2), self.opens(person, "c=", 3)
        assert self.joins(person) == []

    def test_a_lower_limit_is_reached_step_by_step(self, person):
        for number in range(10, 30):
            self.opens(person, f"c{number}=", number)
        assert self.joins(person) == [f"c{number}=" for number in range(29, 24, -1)]
