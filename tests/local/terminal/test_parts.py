"""Parts of a reply as the terminal client shows them."""

import pytest
from parley.client.frames import Frame, FrameError
from parley.terminal.actions import End, Line, Stream, Style

from tests.support.server_frames import complete, frame, joined, message, start, token
from tests.support.transcript import Transcript

CALL = {"kind": "tool_call", "callId": "r1-1-0", "name": "weather", "arguments": '{"city":\n "Oslo"}'}


WAITS = "waits for your approval, `/approve` or `/reject`"


def part(index: int = 0, attempt: int = 1, message_id: str = "r1", **fields: object) -> Frame:
    data = {"messageId": message_id, "attempt": attempt, "index": index, "offset": 0, "part": fields}
    return frame("assistant_message_part", **data)


@pytest.fixture
def transcript() -> Transcript:
    transcript = Transcript()
    transcript.take(frame("chat_created", chatId="c1", title="Talk"))
    transcript.take(start())
    return transcript


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (CALL | {"state": "running"}, Line('Tool weather is called: {"city": "Oslo"}')),
        (CALL | {"state": "waiting"}, Line(f'Tool weather {WAITS}: {{"city": "Oslo"}}')),
        (CALL | {"state": "done", "result": "sun\nfor days"}, Line("Tool weather: sun for days")),
        (CALL | {"state": "done", "result": "x" * 200}, Line(f"Tool weather: {'x' * 99}…")),
        (CALL | {"state": "error", "result": "no such city"}, Line("Tool weather failed: no such city", Style.ERROR)),
        (CALL | {"state": "cancelled"}, Line("Tool weather was cancelled", Style.ERROR)),
        (CALL | {"state": "dreaming"}, Line('Tool weather dreaming: {"city": "Oslo"}')),
        ({"kind": "source", "url": "https://a.example", "title": "Tea"}, Line("Source: Tea, https://a.example")),
        ({"kind": "source", "url": "https://a.example"}, Line("Source: https://a.example")),
    ],
)
def test_a_part_is_a_line_that_is_shown_once(transcript, fields, line):
    assert transcript.take(part(**fields)) == [line]
    assert transcript.take(part(**fields)) == []


def test_reasoning_is_shown_when_it_is_complete(transcript):
    assert transcript.take(part(kind="reasoning", text="Let me ", textOffset=0)) == []
    assert transcript.take(part(kind="reasoning", text="Let me think.", textOffset=0)) == []
    assert transcript.take(token("Sun", 0)) == [Line("Thinking: Let me think."), Stream("Sun")]
    assert transcript.take(complete("Sun")) == [End()]


def test_a_call_and_the_end_show_the_reasoning_before_them(transcript):
    transcript.take(part(kind="reasoning", text="Hm.", textOffset=0))
    called = Line('Tool weather is called: {"city": "Oslo"}')
    assert transcript.take(part(1, **CALL, state="running")) == [Line("Thinking: Hm."), called]
    transcript.take(part(2, kind="reasoning", text="Well.", textOffset=0))
    assert transcript.take(complete("")) == [Line("Thinking: Well."), End()]


def test_a_refusal_is_shown_once_as_the_text_of_the_reply(transcript):
    assert transcript.take(part(kind="refusal", text="No.", textOffset=0)) == []
    assert transcript.take(token("No.", 0)) == [Stream("No.")]
    assert transcript.take(complete("No.")) == [End()]


@pytest.mark.parametrize(
    "other",
    [
        part(message_id="r2", **CALL, state="running"),
        part(attempt=2, **CALL, state="running"),
        part(kind="hologram"),
    ],
)
def test_parts_of_something_else_are_not_shown(transcript, other):
    assert transcript.take(other) == []


def test_a_new_attempt_shows_its_parts_anew(transcript):
    transcript.take(part(**CALL, state="running"))
    transcript.take(start(attempt=2))
    assert transcript.take(part(attempt=2, **CALL, state="running")) != []


def test_a_frame_without_a_part_breaks_the_protocol(transcript):
    with pytest.raises(FrameError):
        transcript.take(frame("assistant_message_part", messageId="r1", attempt=1, index=0, offset=0))


def test_history_shows_parts_before_the_text(transcript):
    stored = message("r0", "assistant", "Sun") | {
        "parts": [
            {"index": 0, "offset": 0, "kind": "reasoning", "text": "Hm."},
            {"index": 1, "offset": 0, **CALL, "state": "done", "result": "sun"},
            {"index": 2, "offset": 0, "kind": "hologram"},
        ]
    }
    lines = [Line("Thinking: Hm."), Line("Tool weather: sun"), Line("Sun", Style.REPLY)]
    assert transcript.take(joined(stored)) == lines


def answered(call_id: str = CALL["callId"], approved: bool = True, message_id: str = "r1") -> Frame:
    return frame("call_answered", messageId=message_id, callId=call_id, approved=approved)


class TestApproval:
    def test_while_a_call_waits_the_user_may_answer_and_after_that_the_reply_is_awaited(self, transcript):
        assert (transcript.busy, transcript.asking) == (True, [])
        transcript.take(part(**CALL, state="waiting"))
        assert (transcript.busy, transcript.asking) == (False, [CALL["callId"]])
        assert transcript.take(answered()) == [Line("Tool weather: approved")]
        assert (transcript.busy, transcript.asking) == (True, [])
        transcript.take(complete(""))
        assert not transcript.busy

    def test_several_calls_are_answered_one_by_one(self, transcript):
        transcript.take(part(0, **CALL, state="waiting"))
        transcript.take(part(1, **(CALL | {"callId": "r1-1-1"}), state="waiting"))
        assert transcript.take(answered(approved=False)) == [Line("Tool weather: rejected")]
        assert transcript.asking == ["r1-1-1"]

    def test_an_answer_of_another_device_counts_even_if_it_comes_before_the_part(self, transcript):
        assert transcript.take(answered()) == []
        transcript.take(part(**CALL, state="waiting"))
        assert transcript.asking == []

    def test_a_reply_that_is_over_asks_for_nothing(self, transcript):
        transcript.take(part(**CALL, state="waiting"))
        transcript.take(complete(""))
        assert transcript.asking == []
        assert transcript.take(answered()) == []

    def test_a_new_attempt_asks_anew(self, transcript):
        transcript.take(part(**CALL, state="waiting"))
        transcript.take(start(attempt=2))
        assert (transcript.busy, transcript.asking) == (True, [])
        transcript.take(part(attempt=2, **CALL, state="waiting"))
        assert transcript.asking == [CALL["callId"]]
