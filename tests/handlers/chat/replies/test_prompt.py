"""The prompt keeps the rules of strict servers, whatever a chat holds."""

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.chat.protocol.frames import clean
from handlers.chat.records import FinishReason, Message, Role
from handlers.chat.replies.messages import BREAK, PromptMessage
from handlers.chat.replies.prompt import MAX_MESSAGES, chars, halved, prompt
from handlers.chat.settings import APOLOGIES, ENGLISH, RUSSIAN

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
USER, ASSISTANT = Role.USER, Role.ASSISTANT


def said(role, content, finish_reason=None):
    return Message("chat", "id", role, content, NOON, finish_reason=finish_reason)


def user(content):
    return said(USER, content)


def reply(content, finish_reason=FinishReason.STOP):
    return said(ASSISTANT, content, finish_reason)


def prompt_of(*oldest_first, max_chars=1_000):
    return [(each.role, each.text) for each in prompt(reversed(oldest_first), max_chars)]


TEXTS = st.text(alphabet=st.sampled_from("ab \n\t\x00\x1b\x9f\u0306и🙂"), max_size=12)
FAILED = st.tuples(TEXTS, st.sampled_from(APOLOGIES)).map(lambda parts: BREAK.join(filter(None, parts)))
REPLIES = st.one_of(
    st.builds(reply, TEXTS, st.sampled_from(list(FinishReason))),
    st.builds(reply, FAILED, st.just(FinishReason.ERROR)),
)
# A user's message is stored clean, and never blank.
QUESTIONS = st.builds(user, TEXTS.map(clean).filter(str.strip))
CHATS = st.tuples(st.lists(st.one_of(QUESTIONS, REPLIES), max_size=150), QUESTIONS).map(
    lambda parts: [*parts[0], parts[1]]
)


def assert_strict(messages, question):
    roles = [each.role for each in messages]
    assert roles == list(itertools.islice(itertools.cycle([USER, ASSISTANT]), len(roles)))
    assert roles[-1] is USER
    assert messages[-1].text.endswith(question.content)
    for each in messages:
        assert each.text.strip()
        assert each.text == clean(each.text)
        assert each.role is USER or not any(apology in each.text for apology in APOLOGIES)


class TestWhateverAChatHolds:
    @given(CHATS, st.integers(1, 300))
    def test_a_prompt_begins_and_ends_with_the_user_alternates_and_has_no_blank_text(self, chat, max_chars):
        messages = prompt(reversed(chat), max_chars)
        assert_strict(messages, chat[-1])
        assert len(messages) == 1 or chars(messages) <= max_chars

    @given(CHATS)
    def test_so_does_its_half_until_only_the_question_is_left(self, chat):
        messages = prompt(reversed(chat), 10_000)
        while (half := halved(messages)) is not None:
            assert_strict(half, chat[-1])
            assert messages[-len(half) :] == half
            assert len(half) == 1 or chars(half) <= chars(messages) // 2
            messages = half
        assert len(messages) == 1

    @given(CHATS)
    def test_no_text_of_a_user_within_the_budget_is_lost(self, chat):
        sent = "".join(each.text for each in prompt(reversed(chat), 1_000_000) if each.role is USER)
        assert all(each.content in sent for each in chat[-MAX_MESSAGES:] if each.role is USER)


def test_the_newest_messages_within_the_budget_are_kept_oldest_first():
    chat = [user("a"), reply("b" * 20), user("c" * 40), reply("d" * 20), user("e" * 40)]
    assert [text[0] for _, text in prompt_of(*chat, max_chars=100)] == ["c", "d", "e"]


def test_a_short_old_message_does_not_jump_over_a_long_one():
    assert prompt_of(user("a"), reply("b" * 200), user("c"), max_chars=100) == [(USER, "c")]


def test_the_question_is_sent_however_long_it_is():
    assert prompt_of(user("a"), reply("b"), user("c" * 500), max_chars=100) == [(USER, "c" * 500)]


def test_however_short_they_are_no_more_than_a_hundred_are_read():
    read = []
    chat = (read.append(number) or (user if number % 2 else reply)(f"{number}.") for number in itertools.count(1, -1))
    messages = prompt(chat, max_chars=100_000)
    assert len(read) == MAX_MESSAGES
    assert (len(messages), messages[0].role) == (MAX_MESSAGES - 1, USER)


@pytest.mark.parametrize("apology", [RUSSIAN.apology, ENGLISH.apology])
def test_an_apology_is_not_sent_as_the_models_words_but_the_text_before_it_is(apology):
    partial = reply(f"One{BREAK}{apology}", FinishReason.ERROR)
    assert prompt_of(user("a"), partial, user("b")) == [(USER, "a"), (ASSISTANT, "One"), (USER, "b")]
    assert prompt_of(user("a"), reply(apology, FinishReason.ERROR), user("b")) == [(USER, f"a{BREAK}b")]


def test_a_user_or_a_model_may_say_the_words_of_the_apology():
    chat = [user(ENGLISH.apology), reply(ENGLISH.apology), user("b")]
    assert [text for _, text in prompt_of(*chat)] == [ENGLISH.apology, ENGLISH.apology, "b"]


def test_a_reply_that_was_cancelled_before_its_first_word_is_left_out():
    assert prompt_of(user("a"), reply("", FinishReason.CANCELLED), user("b")) == [(USER, f"a{BREAK}b")]


def test_the_models_control_characters_are_not_sent_back():
    chat = [user("a"), reply("\x1b[31mred\x00\tand\nblue"), user("b")]
    assert prompt_of(*chat)[1] == (ASSISTANT, "[31mred\tand\nblue")


def test_a_prompt_with_the_question_alone_has_no_half():
    assert halved((PromptMessage(USER, "a"),)) is None
