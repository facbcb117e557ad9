"""The connection dies before and after every frame of a conversation, in both directions: the reply is exact."""

import asyncio
from dataclasses import replace

import pytest
from parley.client import ParleyClient, Part, ReplyEnded, Timing

from tests.support.cut_server import PARTS, REPLY, CutServer
from tests.support.turn_events import shown
from tests.support.waiting import HANGS

AT_ONCE = Timing(retries=(0.0,) * 5)


async def converse(server, timing=AT_ONCE):
    """Have the conversation. Return the events of the turn, and the messages of the chat."""
    async with (
        asyncio.timeout(HANGS),
        server.listening() as url,
        ParleyClient(url, "token", timing=timing) as client,
    ):
        chat = await client.create_chat()
        turn = await chat.send("How is the weather?")
        events = [event async for event in turn]
        assert await turn.reply() == events[-1].message
        await chat.settled()
        return events, chat.messages


def check(server, events, messages):
    offsets = {0: 0, 1: 10, 2: 26}
    parts = tuple(Part.parse(part, index, offsets[index]) for index, part in enumerate(PARTS))
    text, seen = shown(events)
    assert text == REPLY
    assert tuple(sorted(seen, key=lambda part: part.index)) == parts
    assert [type(event) for event in events].count(ReplyEnded) == 1
    assert [message["role"] for message in server.messages] == ["user", "assistant"]
    assert [(message.id, message.role, message.text) for message in messages] == [
        ("u1", "user", "How is the weather?"),
        ("r1", "assistant", REPLY),
    ]
    assert replace(messages[1], parts=()) == replace(events[-1].message, parts=())
    assert messages[1].parts == parts


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    "server",
    [
        {},
        {"large": True},
        {"alone": True},
        {"alone": True, "large": True},
        {"dies_at": 5},
        {"dies_at": 5, "alone": True},
    ],
    ids=["plain", "large", "alone", "alone and large", "two attempts", "two attempts alone"],
)
async def test_the_reply_is_exact_wherever_the_connection_dies(server, before):
    uncut = CutServer(**server)
    check(uncut, *await converse(uncut))
    frames = uncut.frames
    assert frames > 15

    for cut in range(4, frames + 1):  # the first three are the first connection's own, whose failure is told
        cutting = CutServer(cut, before=before, **server)
        outcome = await converse(cutting)
        check(cutting, *outcome)
        assert cutting.was_cut or "alone" in server


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
async def test_the_reply_is_exact_if_it_dies_while_another_one_takes_over(before):
    often = replace(AT_ONCE, ping_busy=0.0)
    for cut in range(4, 24):
        cutting = CutServer(cut, before=before, lifetimes=(0, 0, 0, 7200))
        check(cutting, *await converse(cutting, often))
