"""The Python client on a running emulator: every method, and replies that stay exact whatever is lost."""

import asyncio

import pytest
from parley.client import (
    ParleyClient,
    Part,
    Refused,
    ReplyEnded,
    ReplyText,
    StateChanged,
    Timing,
)
from parley.dev_tokens import token

from tests.faults.users import ENDLESS, USERS, plan
from tests.support.devices import SECRET
from tests.support.terminal import until
from tests.support.turn_events import shown
from tests.support.waiting import HANGS

QUICK = Timing(retries=(0.1,) * 100)
USER = f"user{USERS - 1}"
"""A user of these tests alone."""
THOUGHT = Part(0, "reasoning", text="Hm.")


@pytest.fixture
async def client(emulator):
    url, mine = emulator.websocket_url, token(USER, SECRET)
    async with asyncio.timeout(HANGS), ParleyClient(url, lambda: mine, timing=QUICK) as client:
        yield client


async def said(chat, text):
    return await (await chat.send(text)).reply()


async def stored(client, chat):
    """Return the messages as another connection reads them."""
    again = await client.open_chat(chat.id)
    messages = again.messages
    await client.close_chat(again)
    return messages


def cut(chat):
    """Cut the connection of a chat, as a lost network does. It may be cut already."""
    if chat._link._socket:
        chat._link._socket.connection.transport.abort()


class TestExactness:
    async def test_the_connection_dies_at_each_event_of_a_reply(self, client):
        chat = await client.create_chat()
        states = []
        client.listen(lambda event: states.append(event.state) if isinstance(event, StateChanged) else None)
        turn = await chat.send("/long 100")
        events = []
        async for event in turn:
            events.append(event)
            if isinstance(event, ReplyText):
                cut(chat)
        message = await turn.reply()
        assert shown(events) == (message.text, ())
        await until(lambda: "offline" in states)
        assert [each.text for each in await stored(client, chat)] == ["/long 100", message.text]

    @pytest.mark.parametrize("do", ["lose", "twice"])
    @pytest.mark.parametrize("kind", ["start", "token", "part", "complete"])
    async def test_a_frame_is_lost_or_comes_twice(self, emulator, client, kind, do):
        chat = await client.create_chat()
        word = f"{kind} {do}, think!"
        plan(emulator, "POST", faults=[{"point": "model", "do": "early-stop", "match": word}])
        plan(emulator, "POST", faults=[{"point": "post", "do": do, "match": [f"assistant_message_{kind}"]}])
        turn = await chat.send(word)
        if (kind, do) == ("complete", "lose"):
            await asyncio.to_thread(is_hit, emulator, "assistant_message_complete")
            cut(chat)  # as half a minute of silence would
        message = await turn.reply()
        assert shown([event async for event in turn]) == (message.text, (THOUGHT,))
        assert message.parts == (THOUGHT,)
        [_, read] = await stored(client, chat)
        assert (read.text, read.parts) == (message.text, (THOUGHT,))


def is_hit(emulator, match):
    """Wait until the fault with this match has been applied."""
    while not all(fault["hits"] for fault in plan(emulator, "GET")["faults"] if match in fault["match"]):
        pass


class TestMethods:
    async def test_edits_branches_and_replies_made_anew(self, client):
        chat = await client.create_chat(title="Tea")
        first = await said(chat, "Which tea?")
        question = chat.messages[0]
        edited = await (await chat.edit(question.id, "Which coffee?")).reply()
        assert [each.text for each in chat.messages] == ["Which coffee?", edited.text]
        await chat.select(question.id)
        assert [each.id for each in chat.messages] == [question.id, first.id]
        anew = await (await chat.regenerate()).reply()
        assert [each.id for each in chat.messages] == [question.id, anew.id]
        assert anew.id not in (first.id, edited.id)
        assert [each.id for each in await stored(client, chat)] == [question.id, anew.id]
        assert (client.user_id, client.protocol, chat.title) == (USER, "1.2", "Tea")

    async def test_a_running_reply_refuses_others_and_is_cancelled(self, client):
        chat = await client.create_chat()
        turn = await chat.send(ENDLESS)
        async for event in turn:
            if isinstance(event, ReplyText):
                break
        with pytest.raises(Refused) as raised:
            await chat.send("And?")
        assert raised.value.code == "busy"
        other = chat.running()
        await chat.cancel()
        message = await turn.reply()
        assert message.finish_reason == "cancelled"
        assert await other.reply() == message
        assert shown([event async for event in other])[0] == message.text

    async def test_several_chats_have_their_own_replies(self, client):
        chats = [await client.create_chat() for _ in range(2)]
        replies = await asyncio.gather(*(said(chat, f"I am number {number}") for number, chat in enumerate(chats)))
        for number, (chat, reply) in enumerate(zip(chats, replies, strict=True)):
            assert [each.text for each in chat.messages] == [f"I am number {number}", reply.text]

    async def test_earlier_messages_are_loaded(self, client):
        chat = await client.create_chat()
        await said(chat, "One")
        newest = await said(chat, "Two")
        again = await client.open_chat(chat.id)
        assert [each.id for each in again.messages] == [each.id for each in chat.messages]
        assert (again.messages[-1].id, again.has_more, await again.load_more()) == (newest.id, False, ())

    async def test_the_end_of_a_turn_has_all_of_it(self, client):
        chat = await client.create_chat()
        events = [event async for event in await chat.send("Hi")]
        assert isinstance(events[-1], ReplyEnded)
        assert (events[-1].message, events[-1].message.finish_reason) == (chat.messages[-1], "stop")
