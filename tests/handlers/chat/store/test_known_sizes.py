"""Chats that know the sizes of their newest messages: a read asks for what fits, and not for the next message."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley.dynamodb.capacity import size

from handlers.chat.protocol import frames, parts, sizes, views
from handlers.chat.records import Chat, FinishReason, Message, Part, PartKind, PartState, Role, Size
from handlers.chat.replies.prompt import MAX_MESSAGES, known_items, prompt, up_to_known
from handlers.chat.store.kept_sizes import kept_sizes, sizes_in
from handlers.chat.store.messages import Messages
from handlers.chat.store.tables import ChatItem, MessageItem
from handlers.chat.turns import lifecycle
from tests.support.conversation import answer, ask, regenerating, seal, talk
from tests.support.messages_in_memory import bytes_of_item, messages_in_memory

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ROOM = 48_000
UNIT = 4096

LENGTHS = st.one_of(
    st.integers(1, 50), st.integers(200, 2_000), st.integers(2_000, 12_000), st.integers(12_000, 30_000)
)


def text_of(letters: str, size: int) -> str:
    """Return a text of these letters that takes about so many bytes in JSON."""
    return letters * max(1, size // (len(json.dumps(letters, ensure_ascii=False).encode()) - 2))


TEXTS = st.builds(text_of, st.sampled_from(["x", "ю", 'a"\n']), LENGTHS)
NUMBERS = st.integers(0, sizes.UNKNOWN)
HUGE = st.integers(33_000, 120_000).map("x".__mul__)


def allowed(returned: float) -> float:
    """Return the read units that may be charged for so many bytes."""
    return 1.3 * returned / UNIT + 4


def conversation(texts: list[str]) -> list[Message]:
    """Return questions and answers in turn, the oldest first."""
    kinds = ((Role.USER, None), (Role.ASSISTANT, FinishReason.STOP))
    return [
        Message("chat", f"{number:036}", kinds[number % 2][0], text, NOON, finish_reason=kinds[number % 2][1])
        for number, text in enumerate(texts)
    ]


@st.composite
def with_calls(draw: st.DrawFn, messages: list[Message]) -> list[Message]:
    """Return a conversation in which some replies have calls with results."""
    return [
        replace(each, parts=tuple(call(number, draw(LENGTHS)) for number in range(draw(st.integers(0, 4)))))
        if each.role is Role.ASSISTANT
        else each
        for each in messages
    ]


def call(number: int, length: int) -> Part:
    """Return a call whose result has a length."""
    more = {"state": PartState.DONE, "result": "y" * min(length, parts.MAX_RESULT_CHARS)}
    return Part(PartKind.TOOL_CALL, number, call_id=f"r-01-{number}", name="find", arguments="{}", **more)


def runs(texts: st.SearchStrategy[str], least: int = 1, most: int = 70) -> st.SearchStrategy[list[str]]:
    """Return chats in which runs of alike texts follow each other: small ones, then big ones, and so on."""
    run = st.builds(lambda text, times: [text] * times, texts, st.sampled_from([1, 1, 2, 5, 20, 60]))
    lists = st.lists(run, min_size=1, max_size=8).map(lambda found: [text for each in found for text in each][:most])
    return lists.filter(lambda found: len(found) >= least)


def shown_page(chat, limit, before=None):
    """Return the views, whether there are more, and the bytes of the frame."""
    stored = Messages()
    first = sizes.first_items(chat) if before is None else 1
    newest = stored.newest_first("chat", before, most=limit, room=views.MAX_PAGE_BYTES, first=first, by_page=True)
    shown, more = views.page(newest, limit, lambda oldest: stored.has_older("chat", oldest))
    frame = frames.History(chat_id="chat", messages=shown, has_more=more)
    return shown, more, len(frames.encode(frames.as_json(frame)))


def is_full(shown, limit, older) -> bool:
    """Return True if a page has as many messages as were asked for, or as there are, or as fit."""
    size = sum(len(frames.encode(each.as_data())) + 1 for each in shown)
    return len(shown) == limit or not older or size + views.bytes_in_page(older[-1]) > views.MAX_PAGE_BYTES


class TestPages:
    @given(runs(TEXTS), st.data())
    def test_older_ones_cost_what_is_shown(self, texts, data):
        messages = conversation(texts)
        before = data.draw(st.integers(1, len(messages)))
        limit = data.draw(st.sampled_from([1, 2, 5, 20, 50]))
        with messages_in_memory(Chat("alice", "chat"), messages) as (table, chat):
            shown, more, returned = shown_page(chat, limit, f"{before:036}")
        older = messages[: before - len(shown)]
        assert [each.message_id for each in shown] == [f"{number:036}" for number in range(len(older), before)]
        assert more is bool(older)
        assert is_full(shown, limit, older)
        assert table.read_units <= allowed(returned)
        assert table.queries <= 2

    @given(runs(TEXTS))
    def test_a_joined_chat_costs_what_is_shown_and_one_query(self, texts):
        messages = conversation(texts)
        with messages_in_memory(Chat("alice", "chat"), messages) as (table, chat):
            shown, more, returned = shown_page(chat, 50)
        older = messages[: len(messages) - len(shown)]
        assert (more, is_full(shown, 50, older)) == (bool(older), True)
        assert table.read_units <= allowed(returned)
        assert table.queries == 1

    @given(runs(st.one_of(TEXTS, HUGE)), st.sampled_from([1, 5, 50]))
    def test_only_the_newest_one_is_read_and_shown_without_its_text(self, texts, limit):
        messages = conversation(texts)
        with messages_in_memory(Chat("alice", "chat"), messages) as (table, chat):
            shown, more, returned = shown_page(chat, limit, f"{len(messages):036}")
        assert all(each.content is not None for each in shown[:-1])
        assert more is (len(shown) < len(messages))
        unseen = 0 if shown[-1].content is not None else bytes_of_item(table.items[-1])
        assert table.read_units <= allowed(returned + unseen)

    @given(runs(TEXTS, least=60, most=110), st.integers(51, 100))
    def test_more_than_fifty_are_right_too(self, texts, limit):
        messages = conversation(texts)
        with messages_in_memory(Chat("alice", "chat"), messages):
            shown, more, _ = shown_page(None, limit, f"{len(messages):036}")
        assert shown == tuple(views.view(each) for each in messages[len(messages) - len(shown) :])
        assert more is (len(shown) < len(messages))

    def test_after_fifty_small_ones_no_more_than_one_long_message_is_read(self):
        messages = conversation(["x" * 30_000] * 50 + ["x"] * 50)
        with messages_in_memory(Chat("alice", "chat"), messages) as (table, _):
            shown, more, returned = shown_page(None, 100, f"{len(messages):036}")
        assert (len(shown), more) == (50, True)
        assert table.read_units <= allowed(returned + 30_000)

    @given(runs(TEXTS, least=3), st.data())
    def test_what_is_not_known_costs_units_and_changes_nothing(self, texts, data):
        """Messages of an earlier version, and sizes that are those of other messages."""
        messages = conversation(texts)
        limit = data.draw(st.sampled_from([1, 5, 50]))
        with messages_in_memory(Chat("alice", "chat"), messages) as (table, chat):
            for item in table.items:
                item.page = item.page if data.draw(st.booleans()) else None
            wrong = st.lists(st.builds(Size, NUMBERS, NUMBERS), max_size=50)
            shown, more, _ = shown_page(replace(chat, sizes=tuple(data.draw(wrong))), limit)
        assert shown == tuple(views.view(each) for each in messages[len(messages) - len(shown) :])
        assert more is (len(shown) < len(messages))


def asked(known):
    """Return what the model is asked, with the lengths that a handover names."""
    fitting = known_items(known, ROOM)
    newest = Messages().newest_first("chat", most=MAX_MESSAGES, room=ROOM, size=sizes.chars_of, first=fitting)
    return prompt(up_to_known(newest, known, fitting), ROOM)


class TestPrompts:
    @given(runs(TEXTS, most=49))
    def test_one_costs_what_is_sent_and_one_query(self, texts):
        messages = conversation(texts if len(texts) % 2 else texts[1:] or ["x"])
        with messages_in_memory(Chat("alice", "chat"), messages) as (table, chat):
            sent = asked(sizes.known_chars(chat.sizes))
        assert sent == prompt(messages[:-101:-1], ROOM)
        assert table.queries == 1
        assert table.read_units <= allowed(sum(map(bytes_of_item, table.items[-len(sent) :])))

    @given(runs(TEXTS, most=49), st.data())
    def test_calls_of_earlier_replies_cost_what_is_sent_and_one_query(self, texts, data):
        messages = data.draw(with_calls(conversation(texts if len(texts) % 2 else texts[1:] or ["x"])))
        with messages_in_memory(Chat("alice", "chat"), messages) as (table, chat):
            sent = asked(sizes.known_chars(chat.sizes))
        assert sent == prompt(messages[:-101:-1], ROOM)
        assert table.queries == 1
        # A long result is read whole, although only its beginning is sent.
        assert table.read_units <= allowed(sum(map(bytes_of_item, table.items[-len(sent) :])))

    @given(runs(st.one_of(TEXTS, HUGE)), st.lists(NUMBERS, max_size=50))
    def test_lengths_of_other_messages_change_nothing(self, texts, wrong):
        messages = conversation(texts if len(texts) % 2 else [*texts, "x"])
        with messages_in_memory(Chat("alice", "chat"), messages):
            others = tuple(each + (each == len(messages[-1].content)) for each in wrong)
            assert asked(others) == prompt(messages[:-101:-1], ROOM)


class TestWhatAChatKeeps:
    @pytest.fixture
    def chat(self, store):
        return store.chats.add(Chat("alice", "chat"), NOON)

    def kept(self, store):
        """Return the lengths that the chat keeps, and the pages of its messages, the newest first."""
        chat = store.chats.get("alice", "chat")
        return [each.chars for each in chat.sizes], [each.page for each in store.messages.newest_first("chat")]

    def test_each_message_and_each_reply_adds_its_own(self, store, chat):
        talk(store, ["a", "bb", "ccc", "dddd"])
        assert self.kept(store) == ([4, 3, 2, 1], [4, 3, 2, 0])
        newest = store.messages.get("chat", f"{3:036}")
        assert store.chats.get("alice", "chat").sizes[0] == Size(4, views.bytes_in_page(newest))

    def test_a_regenerated_reply_takes_the_place_of_the_one_before(self, store, chat):
        talk(store, ["a", "bb"])
        turn = regenerating("m3", f"{1:036}", after=f"{0:036}")
        assert store.turns.begin(store.chats.get("alice", "chat"), turn, NOON)
        seal(store, lifecycle.handover_of(chat, turn), "ccc")
        # The chat has three messages, and nobody has counted those of the path: so its page is not known.
        assert self.kept(store) == ([3, 1], [None, 0])

    def test_a_message_of_an_earlier_version_makes_them_unknown(self, store, chat):
        talk(store, ["a", "bb"])
        MessageItem.of(Message("chat", f"{1:036}a", Role.ASSISTANT, "x", NOON)).save()
        ChatItem("alice", "chat").update([ChatItem.message_count.add(1)])
        assert self.kept(store) == ([], [None, 2, 0])
        handover = ask(store, f"{2:036}", f"{3:036}", "ccc")
        answer(store, handover, "dddd")
        assert self.kept(store) == ([4, 3], [None, None, None, 2, 0])

    def test_they_are_of_fifty_messages_at_most(self, store, chat):
        talk(store, ["x"] * 60)
        lengths, pages = self.kept(store)
        assert (lengths, pages[0]) == ([1] * 50, 50)
        assert size({"sizes": {"B": kept_sizes(store.chats.get("alice", "chat").sizes, 60)}}) == 209

    def test_a_reply_that_failed_has_no_known_length(self, store, chat):
        handover = ask(store, "m1", "m2", "Hi")
        answer(store, handover, "Sorry", finish_reason=FinishReason.ERROR)
        assert sizes.known_chars(store.chats.get("alice", "chat").sizes) == ()

    def test_a_new_chat_of_the_same_id_knows_nothing_of_the_old_one(self, store, chat):
        talk(store, ["a", "bb"])
        assert store.chats.delete("alice", "chat", NOON)
        store.chats.add(Chat("alice", "chat"), NOON)
        assert store.chats.get("alice", "chat").sizes == ()

    @given(st.lists(st.builds(Size, NUMBERS, NUMBERS)), st.integers(0, 2**33))
    def test_bytes_are_read_as_they_were_written_and_only_for_this_number_of_messages(self, found, count):
        kept = kept_sizes(found, count)
        assert sizes_in(kept, count) == tuple(found)
        assert sizes_in(kept, count + 1) == ()

    @given(st.binary(max_size=30), st.integers(0, 100))
    def test_any_bytes_are_read(self, kept, count):
        sizes_in(kept, count)
