"""The number of a user's chats: exact, whatever happens at the same moment."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.chat.errors import Refused
from handlers.chat.limits.policy import SETTLING_SECONDS, ChatCount
from handlers.chat.records import Chat
from handlers.chat.turns.creation import create_chat
from tests.support.limited_user import LimitedUser
from tests.support.runtime import NOON


def created(store, name, limit, now=NOON):
    """True if a chat was created, False if it was refused for the limit."""
    try:
        create_chat(store, Chat("alice", name), limit, now)
    except Refused:
        return False
    return True


def test_devices_at_the_same_moment_get_the_limit_and_no_more(store):
    with ThreadPoolExecutor(8) as devices:
        passed = list(devices.map(lambda number: created(store, f"chat-{number}", 5), range(24)))
    assert sum(passed) == store.chats.count("alice") == 5


def test_a_chat_that_is_counted_and_not_yet_stored_is_no_room_for_another(store):
    for number in range(2):
        assert created(store, f"chat-{number}", 2)
    # The second chat is counted, and its function has not stored it yet.
    store.chats.delete("alice", "chat-1", NOON)
    assert not created(store, "chat-2", 2, NOON + timedelta(seconds=SETTLING_SECONDS - 1))
    assert created(store, "chat-2", 2, NOON + timedelta(seconds=SETTLING_SECONDS))


def test_a_failure_after_the_count_is_healed_at_the_next_recount(store, monkeypatch):
    def fails(*_):
        raise RuntimeError

    with monkeypatch.context() as broken:
        broken.setattr(type(store.chats), "add", fails)
        for number in range(3):
            with pytest.raises(RuntimeError):
                create_chat(store, Chat("alice", f"lost-{number}"), 3, NOON)
    assert [created(store, f"chat-{number}", 3, NOON + timedelta(minutes=1)) for number in range(4)] == [
        True,
        True,
        True,
        False,
    ]


@given(st.lists(st.sampled_from(["create", "delete", "wait", "lost"]), max_size=40), st.integers(1, 4))
def test_the_count_is_never_below_the_chats_that_there_are(steps, limit):
    """The policy alone: chats come and go, creations are lost after they were counted, time passes."""
    count, chats, now = ChatCount(), 0, NOON
    for step in steps:
        if step == "wait":
            now += timedelta(seconds=SETTLING_SECONDS)
        elif step == "delete":
            chats = max(0, chats - 1)
        else:
            seen = count.recounted(chats) if count.needs_recount(limit, now) else count
            assert seen.existing >= chats
            if seen.existing < limit:
                count = seen.with_one_more(now)
                chats += step == "create"
        assert chats <= limit


def test_create_chat_on_a_socket_has_the_same_limit(store):
    alice = LimitedUser(CHATS_PER_USER="1")
    first, second = (alice.sends("create_chat")[0].frame for _ in range(2))
    assert first.type == "chat_created"
    assert (second.code, second.retry_after) == ("rate_limited", 60)


def test_the_usual_creation_costs_one_write_and_two_reads_more(store, capacity):
    create_chat(store, Chat("alice", "first"), 10, NOON)
    capacity.clear()
    create_chat(store, Chat("alice", "second"), 10, NOON)
    assert (capacity.read_units, capacity.write_units) == (2, 3)
    capacity.clear()
    assert not created(store, "third", 2, NOON + timedelta(minutes=1))
    assert capacity.write_units == 0
