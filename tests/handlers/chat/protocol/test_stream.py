"""The stream of a reply that has parts: whoever joins, and wherever it is cut, text and parts are exact at the end."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.chat.protocol import frames, views
from handlers.chat.protocol.frames import AssistantMessagePart, AssistantMessageStart, utf16_length
from handlers.chat.protocol.parts import MAX_TEXT_CHARS, placed
from handlers.chat.protocol.stream import MAX_PIECE_CHARS, MAX_REASONING_PARTS, Cursor, Script, stored
from handlers.chat.records import FinishReason, Message, Part, PartKind, PartState, Resume, Role
from tests.faults.reading import Reading
from tests.support.parts import CALL, REASONING
from tests.support.runtime import NOON

START = AssistantMessageStart(message="…", message_id="m", chat_id="c")
NEW_CALL = replace(CALL, index=None)

TEXTS = st.text('aЖ🙂"\n', max_size=4) | st.sampled_from(["x" * (MAX_PIECE_CHARS + 1), "🙂" * MAX_PIECE_CHARS])
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), TEXTS),
        st.tuples(st.just("reason"), TEXTS),
        st.tuples(st.just("call"), st.text("ab", max_size=3)),
        st.tuples(st.just("state"), st.sampled_from(PartState)),
    ),
    max_size=12,
)


def act(script, kind, value):
    """Do one thing that a worker does. A state is that of the newest call."""
    match kind:
        case "add":
            script.add(value)
        case "reason" if value:
            script.reason(value)
        case "call":
            script.show(replace(NEW_CALL, arguments=value))
        case "state":
            calls = [part for part in script.parts if part.kind is PartKind.TOOL_CALL]
            if calls:
                script.show(replace(calls[-1], state=value, result="🙂" * len(script.parts)))


def end_of(script):
    return views.complete(reply_of(script))


def reply_of(script):
    return Message(
        "c", "m", Role.ASSISTANT, script.text, NOON, finish_reason=FinishReason.STOP, parts=script.parts, attempt=1
    )


def seen_of(script):
    """Return the parts of a script as a client has them."""
    shown = {part.index: placed(part).as_data() for part in script.parts}
    return {index: {name: each[name] for name in each if name != "index"} for index, each in shown.items()}


def take(reading, frame):
    """Give a frame to a client, and check its size."""
    assert len(frames.encode(frames.as_json(frame))) <= frames.MAX_FRAME_BYTES
    reading.take_frame(frames.as_json(frame))
    assert not isinstance(frame, AssistantMessagePart) or frame.offset <= reading.length, "its text comes before it"
    assert not reading.missing


def read(script, cursor, reading, most=None):
    """Give up to so many frames to a client, and return its cursor."""
    while most != 0 and (step := script.after(cursor)):
        frame, cursor = step
        take(reading, frame)
        most = most and most - 1
    return cursor


@given(ACTS, st.lists(st.integers(0, 3), min_size=12, max_size=12))
def test_a_connection_of_any_speed_has_all_of_it_at_the_end(acts, speeds):
    script, cursor, reading = Script(START), Cursor(), Reading()
    for (kind, value), speed in zip(acts, speeds, strict=False):
        act(script, kind, value)
        cursor = read(script, cursor, reading, speed)
    script.end = end_of(script)
    read(script, cursor, reading)
    assert (reading.text, reading.parts) == (script.text, seen_of(script))
    assert len(reading.completes) == 1
    assert reading.late == []


@given(ACTS, st.integers(0, 12), st.integers(0, 40), st.integers(0, 12))
def test_one_that_was_cut_off_anywhere_and_came_back_anywhere_has_all_of_it(acts, cut, most, back):
    script, reading = Script(START), Reading()
    for kind, value in acts[:cut]:
        act(script, kind, value)
    read(script, Cursor(), reading, most)
    for kind, value in acts[cut : cut + back]:
        act(script, kind, value)
    cursor = script.resume(Resume("m", reading.length, 1))
    cursor = read(script, cursor, reading, most)
    for kind, value in acts[cut + back :]:
        act(script, kind, value)
    script.end = end_of(script)
    read(script, cursor, reading)
    assert (reading.text, reading.parts, len(reading.completes)) == (script.text, seen_of(script), 1)


@given(ACTS, st.integers(0, 20))
def test_a_stored_reply_resumes_as_the_running_one_did(acts, most):
    live, reading = Script(START), Reading()
    for kind, value in acts:
        act(live, kind, value)
    read(live, Cursor(), reading, most)
    script = stored(reply_of(live), "…")
    read(script, script.resume(Resume("m", reading.length, 1)), reading)
    assert (reading.text, reading.parts, len(reading.completes)) == (live.text, seen_of(live), 1)


@given(st.lists(TEXTS, max_size=8), st.integers(0, 30))
def test_a_reply_without_parts_has_the_frames_that_it_had_before_there_were_parts(pieces, offset):
    script, text = Script(START), "".join(pieces)
    for piece in pieces:
        script.add(piece)
    script.end = end_of(script)
    cut = [text[begin : begin + MAX_PIECE_CHARS] for begin in range(0, len(text), MAX_PIECE_CHARS)]
    first, *tokens, last = script.from_here(Cursor())
    assert (first, [each.token for each in tokens], last) == (START, cut, script.end)
    assert "partCount" not in last.as_data()
    late, *_ = script.from_here(script.late(offset))
    assert late == replace(START, offset=late.offset, content=late.content)
    assert utf16_length(late.content) >= min(utf16_length(text) - late.offset, MAX_PIECE_CHARS)


def kinds(script, cursor):
    return [each.type.removeprefix("assistant_message_") for each in script.from_here(cursor)]


def test_a_part_comes_after_the_text_before_it_and_before_the_text_after_it():
    script = Script(START)
    script.add("Let me see. ")
    script.show(NEW_CALL)
    script.add("Sun.")
    assert kinds(script, Cursor()) == ["start", "token", "part", "token"]
    [_, _, part, _] = script.from_here(Cursor())
    assert part.as_data() == {
        "messageId": "m",
        "attempt": 1,
        "index": 0,
        "offset": 12,
        "part": {
            "kind": "tool_call",
            "callId": "m-1-0",
            "name": "weather",
            "arguments": "{}",
            "state": "running",
        },
    }


def test_one_that_joins_late_gets_the_text_and_then_the_states_of_now():
    script = Script(START)
    script.add("Let me see. ")
    shown = script.show(NEW_CALL)
    script.show(replace(shown, state=PartState.DONE, result="sun"))
    script.add("Sun.")
    start, part = script.from_here(script.late())
    assert start.content == "Let me see. Sun."
    assert (part.part.state, part.part.result) == (PartState.DONE, "sun")


def test_states_that_came_while_a_post_was_under_way_are_one_frame():
    script = Script(START)
    shown = script.show(NEW_CALL)
    for state in (PartState.WAITING, PartState.RUNNING, PartState.CANCELLED):
        script.show(replace(shown, state=state))
    assert kinds(script, Cursor(started=True)) == ["part"]


def test_pieces_of_reasoning_are_joined_like_tokens():
    script, cursor = Script(START), Cursor(started=True)
    for piece in ("Let ", "me "):
        script.reason(piece)
    first, cursor = script.after(cursor)
    assert script.after(cursor) is None
    for piece in ("think", "."):
        script.reason(piece)
    second, _ = script.after(cursor)
    assert [(each.part.text, each.part.text_offset) for each in (first, second)] == [("Let me ", 0), ("think.", 7)]
    assert script.parts == (Part(PartKind.REASONING, 0, text="Let me think."),)


@pytest.mark.parametrize("between", [lambda script: script.add("x"), lambda script: script.show(NEW_CALL)])
def test_reasoning_after_anything_else_is_a_part_of_its_own(between):
    script = Script(START)
    script.reason("one")
    between(script)
    script.reason("two")
    assert [part.text for part in script.parts if part.kind is PartKind.REASONING] == ["one", "two"]


@pytest.mark.parametrize("piece", [3_000, MAX_TEXT_CHARS // 2, MAX_TEXT_CHARS, MAX_TEXT_CHARS + 1])
def test_reasoning_without_end_is_cut_and_says_so(piece):
    script, reading = Script(START), Reading()
    cursor = Cursor()
    for _ in range(9):
        script.reason("🙂" * piece)
        cursor = read(script, cursor, reading)
    script.end = end_of(script)
    read(script, cursor, reading)
    assert (len(reading.parts[0]["text"]), reading.parts[0]["cut"]) == (MAX_TEXT_CHARS, True)


def test_reasoning_begins_only_so_often():
    script = Script(START)
    for _ in range(MAX_REASONING_PARTS + 5):
        script.reason("r")
        script.add("t")
    assert len(script.parts) == MAX_REASONING_PARTS


def test_another_attempt_begins_anew():
    old, new, reading = Script(START), Script(replace(START, attempt=2)), Reading()
    old.reason("old")
    old.add("old")
    old.show(NEW_CALL)
    read(old, Cursor(), reading)
    new.show(REASONING)
    new.end = replace(end_of(new), attempt=2)
    read(new, Cursor(), reading)
    assert (reading.text, reading.parts) == ("", seen_of(new))
