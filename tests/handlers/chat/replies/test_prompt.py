"""Messages as they fit into a prompt."""

from datetime import UTC, datetime

from handlers.chat.records import Message, Role
from handlers.chat.replies import prompt

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def message(name, content):
    return Message("chat", name, Role.USER, content, NOON)


def test_the_newest_messages_within_the_budget_are_kept_oldest_first():
    newest_first = [message("3", "c" * 40), message("2", "b" * 60), message("1", "a")]
    assert [kept.message_id for kept in prompt.context(newest_first, max_chars=100)] == ["2", "3"]


def test_a_short_old_message_does_not_jump_over_a_long_one():
    newest_first = [message("3", "c"), message("2", "b" * 200), message("1", "a")]
    assert [kept.message_id for kept in prompt.context(newest_first, max_chars=100)] == ["3"]


def test_however_short_they_are_there_are_no_more_than_a_hundred():
    newest_first = [message(str(number), "x") for number in range(1_000, 0, -1)]
    kept = [each.message_id for each in prompt.context(iter(newest_first), max_chars=100_000)]
    assert kept == [str(number) for number in range(901, 1_001)]


def test_the_question_is_sent_however_long_it_is():
    newest_first = [message("2", "b" * 500), message("1", "a")]
    assert [kept.message_id for kept in prompt.context(newest_first, max_chars=100)] == ["2"]
