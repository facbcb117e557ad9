"""Turns, found in the state of the chat: which reply answers which message. No connection."""

import pytest
from parley.client.conversation import Conversation
from parley.client.errors import ReplyGone
from parley.client.events import ReplyEnded, ReplyStarted, ReplyText, Resume
from parley.client.turn import Turn

from tests.support.server_frames import acknowledged, complete, frame, joined, message, start, token


@pytest.fixture
def chat():
    chat = Conversation()
    chat.take(frame("chat_created", chatId="c1", title="Talk"))
    return chat


def asked(chat, client_id="m1", message_id="u1", **more):
    """Send a message, have it acknowledged, and return its turn."""
    chat.ask(frame("message", "q1", message="Hi", clientMessageId=client_id), "user_message")
    chat.take(acknowledged(client_id, message_id, **more))
    return Turn(message_id)


def take(chat, turn, *frames):
    """Take frames as the connection does, and return the commands of the turn."""
    commands = turn.settle(chat)
    for each in frames:
        for event in chat.take(each):
            turn.feed(event)
        commands += turn.settle(chat)
    return commands


def ids(chat):
    return [each.id for each in chat.history.messages]


async def test_its_events_are_those_of_the_reply_that_follows(chat):
    turn = asked(chat)
    assert take(chat, turn, start(), token("Hel", 0), complete("Hello")) == []
    *pieces, end = [event async for event in turn]
    assert pieces == [ReplyStarted("r1", 1), ReplyText("r1", "Hel"), ReplyText("r1", "lo")]
    assert end == ReplyEnded(await turn.reply())
    assert end.message.text == "Hello"
    assert ids(chat) == ["u1", "r1"]


async def test_it_may_begin_in_the_middle_of_its_reply(chat):
    chat.take(start())
    chat.take(token("Hel", 0))
    turn = Turn(None, "r1")
    take(chat, turn, token("lo", 3), complete("Hello"))
    assert [event.text async for event in turn if isinstance(event, ReplyText)] == ["Hel", "lo"]


async def test_the_late_end_of_an_earlier_reply_is_not_the_answer(chat):
    """A worker has died after it stored the reply: its end comes with the next message."""
    earlier = asked(chat)
    take(chat, earlier, start(), token("Hel", 0))
    turn = asked(chat, "m2", "u2")
    for each in (complete("Hello"), start("r2"), complete("Good day", "r2")):
        take(chat, earlier)
        take(chat, turn, each)
    assert (await turn.reply()).text == "Good day"
    assert ids(chat) == ["u1", "r1", "u2", "r2"]


async def test_a_message_that_was_answered_while_nobody_listened_finds_its_reply(chat):
    chat.ask(frame("message", "q1", message="Hi", clientMessageId="m1"), "user_message")
    chat.disconnected()
    chat.take(joined(message("u1", "user", "Hi"), message("r1", "assistant", "Hello")))
    chat.take(acknowledged("m1", duplicate=True))
    turn = Turn("u1")
    take(chat, turn)
    assert (await turn.reply()).text == "Hello"


async def test_one_whose_first_acknowledgement_got_lost_joins_again_to_see_how_it_stands(chat):
    chat.ask(frame("message", "q1", message="Hi", clientMessageId="m1"), "user_message")
    chat.take(start())
    chat.take(complete("Hello"))
    assert chat.take(acknowledged("m1", duplicate=True))[1] == Resume()
    turn = Turn("u1")
    take(chat, turn)
    assert not turn.is_over
    take(chat, turn, joined(message("u1", "user", "Hi"), message("r1", "assistant", "Hello")))
    assert (await turn.reply()).text == "Hello"
    assert ids(chat) == ["u1", "r1"]
    assert not chat.busy


async def test_a_reply_that_a_page_has_only_in_part_is_fetched(chat):
    turn = asked(chat)
    chat.disconnected()
    page = [message("u1", "user", "Hi"), message("r1", "assistant", None)]
    assert take(chat, turn, joined(*page)) == [Resume()]
    assert chat.resume() == {"resume": {"messageId": "r1", "offset": 0, "attempt": 1}}
    take(chat, turn, joined(*page), start(content="Hello"), complete(None, length=5))
    assert (await turn.reply()).text == "Hello"
    assert [event.text async for event in turn if isinstance(event, ReplyText)] == ["Hello"]


async def test_a_branch_that_another_device_has_selected_has_no_such_reply(chat):
    turn = asked(chat)
    take(chat, turn, frame("branch_selected", chatId="c1", messageId="u0"))
    assert not turn.is_over
    take(chat, turn, joined(message("u0", "user", "Before")))
    with pytest.raises(ReplyGone):
        await turn.reply()


async def test_an_edited_message_takes_what_followed_out_of_the_chat(chat):
    take(chat, asked(chat), start(), complete("Hello"))
    chat.ask(frame("edit", "q2", messageId="u1", message="Ho", clientMessageId="m2"), "user_message")
    chat.take(acknowledged("m2", "u2", replaces="u1"))
    turn = Turn("u2")
    take(chat, turn, start("r2"), complete("Good day", "r2"))
    assert (await turn.reply()).text == "Good day"
    assert ids(chat) == ["u2", "r2"]


async def test_a_regenerated_reply_stands_in_the_place_of_the_last(chat):
    take(chat, asked(chat), start(), complete("Hello"))
    chat.ask(frame("regenerate", "q2"), "assistant_message_start")
    chat.take(start("r2", replaces="r1"))
    turn = Turn(None, "r2")
    take(chat, turn, complete("Good day", "r2"))
    assert (await turn.reply()).text == "Good day"
    assert ids(chat) == ["u1", "r2"]


class TestHistory:
    def test_a_page_that_continues_what_is_known_is_added(self, chat):
        chat.take(joined(message("u1", "user", "Hi"), message("r1", "assistant", "Hello")))
        chat.take(joined(message("r1", "assistant", None), message("u2", "user", "And?")))
        assert ids(chat) == ["u1", "r1", "u2"]
        assert chat.history.get("r1").text == "Hello"

    def test_a_page_that_does_not_replaces_it(self, chat):
        chat.take(joined(message("u1", "user", "Hi")))
        chat.take(joined(message("u9", "user", "And?"), hasMore=True))
        assert ids(chat) == ["u9"]
        assert chat.history.has_more

    def test_an_earlier_page_stands_before_it(self, chat):
        chat.take(joined(message("u2", "user", "And?"), hasMore=True))
        chat.take(frame("history", chatId="c1", messages=[message("u1", "user", "Hi")], hasMore=False))
        assert (ids(chat), chat.history.has_more) == (["u1", "u2"], False)
