"""Messages as they fit into a frame."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from handlers.chat.assistants.assistant import MAX_STARTER_CHARS, MAX_STARTERS, MAX_TITLE_CHARS
from handlers.chat.protocol import frames, views
from handlers.chat.protocol.frames import AssistantView, ChatJoined, ClientLimits, Connected
from handlers.chat.protocol.parts import fitting
from handlers.chat.protocol.sizes import arrived
from handlers.chat.records import Chat, FinishReason, Message, Role
from tests.support.parts import CALL, SOURCE, parts_of_replies

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def message(name, content="text", role=Role.USER):
    finish_reason = FinishReason.STOP if role is Role.ASSISTANT else None
    return Message("chat", name, role, content, NOON, finish_reason=finish_reason)


def unasked(oldest):
    raise AssertionError("whether there are older ones is known")


class TestAssistants:
    """The list in the greeting of a connection."""

    def test_as_many_as_fit_into_the_greeting_are_shown(self):
        many = [
            AssistantView(id="a" * 64, title="𐍈" * MAX_TITLE_CHARS, starters=("𐍈" * MAX_STARTER_CHARS,) * number)
            for number in [MAX_STARTERS, *[1] * 100]
        ]
        shown = views.assistants(many)
        assert shown == tuple(many[: len(shown)])
        greeting = Connected(
            connection_id="c" * 20,
            server_time="2026-11-23T10:00:00.000Z",
            reconnect_before="2026-11-23T11:55:00.000Z",
            limits=ClientLimits(message_chars=10_000, messages_per_minute=60_000),
            assistants=shown,
        )
        size = len(frames.encode(frames.as_json(greeting)))
        assert 28 * 1024 < size <= frames.MAX_FRAME_BYTES

    def test_few_are_shown_all(self):
        few = (AssistantView(id="default", title="Assistant"), AssistantView(id="tea", title="Tea"))
        assert views.assistants(few) == few
        assert views.assistants([]) == ()


class TestPage:
    def test_a_page_is_oldest_first(self):
        shown, has_more = views.page([message("3"), message("2"), message("1")], 10, unasked)
        assert ([view.message_id for view in shown], has_more) == (["1", "2", "3"], False)

    def test_a_page_ends_at_its_limit(self):
        shown, has_more = views.page([message("3"), message("2"), message("1")], 2, lambda oldest: oldest == "2")
        assert ([view.message_id for view in shown], has_more) == (["2", "3"], True)

    def test_a_page_that_holds_just_all_has_no_more(self):
        assert views.page([message("2"), message("1")], 2, lambda oldest: oldest != "1")[1] is False

    def test_a_page_that_is_nearly_full_ends_there(self):
        read = iter([message("3"), message("2", "x" * 30_000), message("1")])
        shown, has_more = views.page(read, 10, lambda oldest: oldest == "2")
        assert ([view.message_id for view in shown], has_more) == (["2", "3"], True)
        assert next(read).message_id == "1"

    def test_a_page_fits_into_a_frame(self):
        many = [message(f"{number:036}", "ж" * 1_000) for number in range(100)]
        shown, has_more = views.page(many, 100, lambda oldest: True)
        frame = ChatJoined(chat_id="c" * 36, title="ж" * 200, assistant="a" * 64, messages=shown, has_more=has_more)
        size = len(frames.encode(frames.as_json(frame, "𐍈" * 64)))
        assert has_more
        assert 28 * 1024 < size <= 32 * 1024

    def test_no_more_is_read_than_shown(self):
        read = []

        def lazily():
            for number in range(1_000):
                read.append(number)
                yield message(str(number))

        views.page(lazily(), 5, lambda oldest: True)
        assert len(read) == 5

    def test_a_message_too_long_for_any_page_is_shown_without_its_text(self):
        [view], _ = views.page([message("1", "𐍈" * 10_000, Role.ASSISTANT)], 10, unasked)
        assert (view.content, view.length) == (None, 20_000)

    def test_a_view_says_why_a_reply_ended_and_nothing_of_the_kind_for_a_question(self):
        reply, question = views.view(message("2", role=Role.ASSISTANT)), views.view(message("1"))
        assert reply.as_data()["finishReason"] == "stop"
        assert "finishReason" not in question.as_data()


class TestParts:
    """A reply that has parts, in a page of history."""

    def reply(self, *parts, content="text"):
        return replace(message("2", content, Role.ASSISTANT), parts=parts)

    def test_a_message_without_parts_says_nothing_of_them(self):
        shown = views.view(message("2", role=Role.ASSISTANT)).as_data()
        assert list(shown) == ["messageId", "content", "role", "timestamp", "finishReason"]
        assert "partCount" not in views.complete(message("2", role=Role.ASSISTANT)).as_data()

    def test_parts_have_their_place(self):
        shown = views.view(self.reply(CALL, replace(SOURCE, index=1, offset=4))).as_data()
        assert [(each["index"], each["offset"], each["kind"]) for each in shown["parts"]] == [
            (0, 0, "tool_call"),
            (1, 4, "source"),
        ]

    def test_long_texts_of_parts_are_cut(self):
        [shown] = views.view(self.reply(replace(CALL, result="x" * 501))).parts
        assert (len(shown.result), shown.cut) == (500, True)

    def test_parts_that_do_not_fit_with_the_text_are_counted(self):
        shown = views.view(self.reply(CALL, CALL, content="x" * 30_400))
        assert (len(shown.content), shown.parts, shown.part_count) == (30_400, None, 2)
        shown = views.view(self.reply(CALL, CALL, content="x" * 31_000))
        assert (shown.content, shown.parts, shown.part_count) == (None, None, 2)

    def test_the_end_of_a_reply_counts_its_parts(self):
        assert views.complete(self.reply(CALL, CALL)).as_data()["partCount"] == 2

    @given(st.lists(st.tuples(st.integers(0, 40_000), st.lists(parts_of_replies(2_000), max_size=4)), max_size=5))
    def test_pages_fit_into_a_frame_and_sizes_tell_what_fits(self, replies):
        """The page that a message's own size tells is the page that is shown."""
        chat, stored = Chat("alice", "chat"), []
        for number, (length, parts) in enumerate(replies):
            new = replace(message(str(number), "x" * length, Role.ASSISTANT), parts=fitting(parts))
            sized, sizes, count = arrived(chat, new)
            chat = replace(chat, sizes=sizes, message_count=count)
            stored.insert(0, sized)
        shown, more = views.page(stored, 50, lambda oldest: oldest != "0")
        frame = ChatJoined(chat_id="c" * 36, title="ж" * 200, assistant="a" * 64, messages=shown, has_more=more)
        assert len(frames.encode(frames.as_json(frame, "𐍈" * 64))) <= frames.MAX_FRAME_BYTES
        assert more == (len(shown) < len(stored))
        if stored and stored[0].page:
            assert len(shown) == stored[0].page
