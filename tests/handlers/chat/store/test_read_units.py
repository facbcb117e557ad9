"""Read units of pages of messages: little more than what is shown, or sent to the model.

First where the sizes of messages are not known, as in chats of earlier versions; then where they are.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handlers.chat.protocol import frames, views
from handlers.chat.protocol.sizes import chars_of
from handlers.chat.records import Chat, Connection, Message, Role
from handlers.chat.replies.prompt import MAX_MESSAGES, chars, prompt
from handlers.chat.store.messages import FIRST_PAGE_ITEMS, next_page
from handlers.chat.store.tables import MessageItem
from handlers.chat.turns.actions import Begin, Generate
from handlers.chat.turns.lifecycle import Handover
from infra.capacity.model import Use
from tests.support.command_client import CommandClient
from tests.support.conversation import talk
from tests.support.recording_gateway import RecordingGateway
from tests.support.reply_worker import ScriptedModel, reply_worker

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
UNIT = 4096
CHARS_OF_A_TOKEN = 4
"""Of English, about: only to compare two figures of one model."""


def allowed(returned: float) -> float:
    """Return the read units that may be charged for so many bytes."""
    return 1.3 * returned / UNIT + 4


@pytest.fixture
def fill(store):
    """Return a function that stores messages of these lengths, the oldest first."""

    def fill(lengths):
        store.chats.add(Chat("alice", "chat"), NOON)
        for number, length in enumerate(lengths):
            role = Role.ASSISTANT if number % 2 else Role.USER
            MessageItem.of(Message("chat", f"{number:036}", role, "x" * length, NOON)).save()

    return fill


def page(store, limit):
    newest = store.messages.newest_first("chat", most=limit, room=views.MAX_PAGE_BYTES)
    return views.page(newest, limit, lambda oldest: store.messages.has_older("chat", oldest))


class TestSixtyLongMessages:
    """Sixty messages of 30,000 bytes whose sizes nobody knows.

    With pages of 50, a question cost 259 read units, a page of history 242.
    """

    def test_a_page_of_one_costs_that_one_and_half_of_the_next(self, store, fill, reads):
        fill([30_000] * 60)
        reads.clear()
        shown, more = page(store, 1)
        assert (len(shown), more) == (1, True)
        assert reads.read_units <= allowed(30_000)

    def test_a_joined_chat_costs_no_more_than_one_that_does_not_fit(self, store, fill, reads):
        fill([30_000] * 60)
        reads.clear()
        shown, more = page(store, 50)
        assert (len(shown), more) == (1, True)
        assert reads.read_units <= allowed(30_000) + 30_000 / UNIT

    def test_a_prompt_costs_no_more_than_one_that_does_not_fit(self, store, fill, reads):
        fill([30_000] * 60 + [2])
        reads.clear()
        sent = prompt(store.messages.newest_first("chat", most=MAX_MESSAGES, room=48_000, size=chars_of), 48_000)
        assert [each.chars for each in sent] == [2]
        assert reads.read_units <= allowed(30_000) + 30_000 / UNIT


@pytest.mark.parametrize("length", [1, 300, 1_000, 3_000, 10_000])
def test_messages_of_one_length_cost_what_they_are(store, fill, reads, length):
    fill([length] * 80)
    reads.clear()
    shown, _ = page(store, 50)
    # The bytes of an item beside its text, and the one that does not fit.
    assert reads.read_units <= allowed((len(shown) + 1) * (length + 160))
    reads.clear()
    sent = prompt(store.messages.newest_first("chat", most=MAX_MESSAGES, room=48_000, size=chars_of), 48_000)
    assert reads.read_units <= allowed(chars(sent) + length + (len(sent) + 3) * 160)


def test_whether_there_are_older_ones_is_told_exactly(store, fill):
    fill([5, 5, 5])
    assert [store.messages.has_older("chat", f"{number:036}") for number in range(4)] == [False, True, True, True]


def units_of(sizes: list[int], taken: int, room: int, most: int) -> Iterator[int]:
    """Yield the units of each page that is read until so many messages are taken."""
    items, seen, filled = min(most, FIRST_PAGE_ITEMS), 0, 0
    while seen < taken:
        read = sizes[seen : seen + items]
        yield max(1, -(-sum(read) // UNIT))
        seen, filled = seen + len(read), filled + sum(read)
        items = next_page(seen, filled, room, most)


UNEVEN = [1.0, 1.25, *[1.0] * 12, 0.75, 0.75, *[1.0] * 84]


@given(st.integers(200, 30_000), st.lists(st.floats(0.7, 1.3), min_size=100, max_size=100), st.integers(4_000, 100_000))
@example(342, UNEVEN, 5_390)  # five pages, each of a part of a unit more
@example(1_508, [0.7] * 18 + [1.3] * 82, 96_618)  # the first are the shortest, and the estimate is wrong by all it can
def test_messages_that_are_much_alike_cost_what_is_used(typical, spread, room):
    sizes = [round(typical * each) for each in spread]
    used, taken = 0, 0
    while taken < len(sizes) and used + sizes[taken] <= room:
        used, taken = used + sizes[taken], taken + 1
    taken = min(len(sizes), taken + 1)  # the one that does not fit
    pages = list(units_of(sizes, taken, room, 100))
    # Those that are read can be longer than those that were seen, and each page is rounded up to a whole unit.
    longer = max(sizes) / min(sizes)
    assert sum(pages) <= longer * sum(sizes[: max(FIRST_PAGE_ITEMS, taken)]) / UNIT + len(pages)
    assert len(pages) <= 12


def test_no_sequence_makes_a_page_many_times_longer_than_what_was_seen():
    chance = random.Random(1)
    for _ in range(1_000):
        seen, filled, room = chance.randint(1, 100), chance.randint(0, 100_000), chance.randint(0, 100_000)
        assert 1 <= next_page(seen, filled, room, 100) <= max(1, min(8 * seen, 100))


class TestFrames:
    """Frames of a client, and turns, where the sizes are known."""

    @pytest.fixture
    def client(self, store):
        client = CommandClient(store, "c1=")
        client.now = datetime.now(UTC)  # DynamoDB Local deletes rows whose time to live is over
        store.connections.add(Connection("c1=", client.now))
        store.chats.add(Chat("alice", "chat"), NOON)
        return client

    def cost(self, reads, ask, *arguments, **data):
        """Return the units of a frame's messages, of all else that it reads, and those that its answer may cost."""
        reads.clear()
        answers = ask(*arguments, **data)
        units = sum(each.units for each in reads.charges if each.what == "MessagesTable")
        most = allowed(sum(len(frames.encode(frames.as_json(each))) for each in answers))
        return units, reads.read_units - units, most

    @pytest.mark.parametrize(
        "lengths",
        [
            [30_000] * 60,
            [30_000] * 20 + [20] * 20,
            [20] * 20 + [30_000] * 20,
            [20, 30_000, 2_000, 8_000] * 10,
            [20] * 8,
        ],
        ids=["big", "big, then small", "small, then big", "mixed", "few"],
    )
    def test_they_cost_what_they_are_answered_with(self, store, client, reads, lengths):
        talk(store, ["x" * length for length in lengths])
        units, others, most = self.cost(reads, client.joins, "alice", "chat")
        assert units <= most
        assert others <= 4  # the connection, the chat, the user twice, and the user's connections
        if min(lengths) == 30_000:
            assert units + others <= most
        for limit in (1, 2, 5, 50):
            for before in (len(lengths), len(lengths) - 1, len(lengths) // 2, 1):
                asked = {"before": f"{before:036}", "limit": limit}
                units, others, most = self.cost(reads, client.is_answered, "load_history", **asked)
                assert units + others <= most, (limit, before)

    def reply(self, store, client, actions):
        """Have a reply made, and return the model, which was asked for it."""
        [handover] = [each.handover for each in actions if isinstance(each, Begin | Generate)]
        store.turns.acknowledged(handover.user_id, handover.chat_id, handover.message_id)
        model = ScriptedModel("x" * 400)
        worker = reply_worker(store, RecordingGateway(), model, [], now=client.now, history_chars=20_000)
        worker.make(Handover.of(json.loads(json.dumps(handover.payload()))), lambda: 900.0)
        return model

    def prompt_units(self, reads):
        """Return the units of each query of messages."""
        return [each.units for each in reads.charges if (each.operation, each.what) == ("Query", "MessagesTable")]

    def test_the_model_of_a_deployment_counts_with_the_same_units(self, store, client, reads):
        talk(store, ["x" * length for length in [100, 2_000] * 4])
        client.joins("alice", "chat")
        actions = client.sends("message", message="x" * 100)
        reads.clear()
        [asked] = self.reply(store, client, actions).asked
        assert sum(len(text) for _, text in asked) / CHARS_OF_A_TOKEN == pytest.approx(Use().prompt_tokens, rel=0.1)
        assert self.prompt_units(reads) == [Use().prompt_read_units]

    @pytest.mark.parametrize("kind", ["message", "regenerate"])
    def test_a_prompt_takes_one_query_for_each_branch_and_costs_what_is_sent(self, store, client, reads, kind):
        talk(store, ["x" * length for length in [30_000, 30_000, 20, 30_000, 2_000, 100, 200, 8_000, 20, 500]])
        client.joins("alice", "chat")
        self.reply(store, client, client.sends("regenerate"))
        actions = client.sends("message", message="Hi") if kind == "message" else client.sends("regenerate")
        reads.clear()
        [asked] = self.reply(store, client, actions).asked
        assert [len(text) for _, text in asked] == [
            2_000,
            100,
            200,
            8_000,
            20,
            *([400, 2] if kind == "message" else []),
        ]
        # Before a reply that was made anew lies the one that it has replaced: a second query gets what that took away.
        assert self.prompt_units(reads) == ([3, 1] if kind == "message" else [3])

    @pytest.mark.parametrize(("messages", "asked"), [(6, 7), (80, 81), (140, 99)])
    def test_a_prompt_of_more_messages_than_sizes_are_kept_takes_one_query(self, store, client, reads, messages, asked):
        talk(store, ["x" * 50] * messages)
        client.joins("alice", "chat")
        actions = client.sends("message", message="x" * 50)
        reads.clear()
        [prompt] = self.reply(store, client, actions).asked
        assert len(prompt) == asked
        [units] = self.prompt_units(reads)
        assert units <= allowed(asked * 250)
