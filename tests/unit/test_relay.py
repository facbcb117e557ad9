"""A reply on its way: what each connection gets, and what one of them costs the others."""

import json
import time
from threading import Event, Lock

import pytest

from handlers.chat.errors import ConnectionGone, PostFailed
from handlers.chat.frames import AssistantMessageComplete, AssistantMessageStart, FinishReason, utf16_length
from handlers.chat.relay import LARGEST_TOKEN, Cursor, Relay, Script

START = AssistantMessageStart(message="…", message_id="m", chat_id="c")


def complete(text):
    return AssistantMessageComplete(
        message_id="m",
        content=text,
        timestamp="t",
        chat_id="c",
        length=utf16_length(text),
        finish_reason=FinishReason.STOP,
    )


class TestScript:
    def script(self, text="", ended=False):
        script = Script("m")
        script.start = START
        script.text = text
        script.end = complete(text) if ended else None
        return script

    def test_the_start_comes_first_then_whatever_text_there_is_then_the_end(self):
        script, cursor, kinds = self.script("привет", ended=True), Cursor(), []
        while step := script.after(cursor):
            frame, cursor = step
            kinds.append(frame.type.removeprefix("assistant_message_"))
        assert kinds == ["start", "token", "complete"]
        assert (cursor.characters, cursor.frames, cursor.ended) == (6, 3, True)

    def test_a_frame_holds_all_that_has_come_since_the_last_one(self):
        script = self.script("один")
        _, cursor = script.after(Cursor(started=True))
        assert script.after(cursor) is None
        script.text += " два три"
        frame, _ = script.after(cursor)
        assert (frame.token, frame.offset) == (" два три", 4)

    def test_offsets_count_as_javascript_does(self):
        script = self.script("👩👩")
        _, cursor = script.after(Cursor(started=True))
        script.text += "!"
        assert script.after(cursor)[0].offset == 4

    def test_a_long_piece_takes_several_frames(self):
        script, cursor, sizes = self.script("x" * (2 * LARGEST_TOKEN + 1)), Cursor(started=True), []
        while step := script.after(cursor):
            frame, cursor = step
            sizes.append(len(frame.token))
        assert sizes == [LARGEST_TOKEN, LARGEST_TOKEN, 1]

    def test_one_that_joins_late_gets_only_what_is_still_to_come(self):
        script = self.script("schon da", ended=True)
        frame, _ = script.after(script.newest())
        assert frame.type == "assistant_message_complete"


class Gateway:
    """Keeps frames by connection. A connection may be slow, held up until `released`, gone, or fail some posts."""

    def __init__(self, slow=None, held=(), gone=(), failing=None, failing_after_delivery=None):
        self.slow, self.held, self.gone = slow or {}, held, gone
        self.released = Event()
        self.failing, self.failing_after_delivery = failing or {}, failing_after_delivery or {}
        self.posted: dict[str, list] = {}
        self.first_post = Event()
        self._lock = Lock()

    def post(self, connection_id, text):
        time.sleep(self.slow.get(connection_id, 0))
        if connection_id in self.held:
            self.released.wait(10)
        if connection_id in self.gone:
            raise ConnectionGone(connection_id)
        with self._lock:
            if self.failing.get(connection_id, 0):
                self.failing[connection_id] -= 1
                raise PostFailed("500")
            self.posted.setdefault(connection_id, []).append(json.loads(text))
            self.first_post.set()
            if self.failing_after_delivery.get(connection_id, 0):
                self.failing_after_delivery[connection_id] -= 1
                raise PostFailed("500")

    def text_at(self, connection_id):
        """What a client that follows the protocol shows: overlaps are cut, gaps are errors."""
        text = ""
        for frame in self.posted[connection_id]:
            if frame["type"] == "assistant_message_token":
                assert frame["data"]["offset"] <= len(text), "a gap"
                text = text[: frame["data"]["offset"]] + frame["data"]["token"]
        return text

    def kinds(self, connection_id):
        return [frame["type"].removeprefix("assistant_message_") for frame in self.posted[connection_id]]


def relay_all(gateway, pieces, connections=("a=",), pause=0.0, pace=0.0, late=()):
    gone = []
    relay = Relay(gateway, connections, "m", gone.append, pace)
    relay.start(START)
    for piece in pieces:
        relay.add(piece)
        time.sleep(pause)
    relay.finish(complete("".join(pieces)), late)
    return gone


def test_every_connection_gets_the_whole_reply_in_order():
    gateway = Gateway()
    pieces = [f"{number} " for number in range(200)]
    relay_all(gateway, pieces, ("a=", "b="))
    for connection_id in ("a=", "b="):
        first, *tokens, last = gateway.kinds(connection_id)
        assert (first, set(tokens), last) == ("start", {"token"}, "complete")
        assert gateway.text_at(connection_id) == "".join(pieces)


def test_frames_grow_while_a_post_is_in_flight():
    gateway = Gateway(slow={"a=": 0.02})
    relay_all(gateway, ["x"] * 100, pause=0.002)
    assert gateway.text_at("a=") == "x" * 100
    assert len(gateway.posted["a="]) < 40


def test_a_slow_connection_delays_nobody():
    gateway = Gateway(held=("slow=",))
    relay = Relay(gateway, ("slow=", "fast="), "m", lambda gone: None)
    relay.start(START)
    relay.add("x" * 20)
    deadline = time.monotonic() + 5
    while "fast=" not in gateway.posted or gateway.text_at("fast=") != "x" * 20:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert "slow=" not in gateway.posted
    gateway.released.set()
    relay.finish(complete("x" * 20))
    assert gateway.text_at("slow=") == "x" * 20


def test_the_pace_spares_the_first_ten_frames_and_then_bounds_their_number():
    gateway = Gateway()
    started = time.monotonic()
    relay_all(gateway, ["x"] * 150, pause=0.002, pace=0.1)
    paced = (time.monotonic() - started) / 0.1
    assert gateway.text_at("a=") == "x" * 150
    assert 10 < len(gateway.posted["a="]) <= 10 + paced + 3


def test_a_failed_post_is_tried_again_and_nothing_is_lost():
    gateway = Gateway(failing={"a=": 3})
    relay_all(gateway, ["один", " два", " три"], ("a=", "b="))
    assert gateway.text_at("a=") == gateway.text_at("b=") == "один два три"
    assert gateway.kinds("a=")[-1] == "complete"


def test_what_arrived_although_it_failed_can_be_cut_by_its_offset():
    gateway = Gateway(failing_after_delivery={"a=": 3})
    relay_all(gateway, ["один", " два", " три"], pause=0.01)
    assert gateway.text_at("a=") == "один два три"


def test_one_that_is_gone_is_named_once_and_harms_nobody():
    gateway = Gateway(gone={"a="})
    assert relay_all(gateway, ["x"] * 10, ("a=", "b=")) == ["a="]
    assert gateway.text_at("b=") == "x" * 10
    assert "a=" not in gateway.posted


def test_one_that_joined_meanwhile_gets_the_end():
    gateway = Gateway()
    relay_all(gateway, ["x"], late=("a=", "late="))
    assert gateway.kinds("late=") == ["complete"]
    assert gateway.kinds("a=").count("complete") == 1


@pytest.mark.parametrize("started", [True, False])
def test_an_abandoned_relay_sends_nothing_more(started):
    gateway = Gateway()
    relay = Relay(gateway, ("a=",), "m", lambda gone: None)
    if started:
        relay.start(START)
        gateway.first_post.wait(5)
    relay.abandon()
    relay.add("x")
    time.sleep(0.05)
    assert [frame["type"] for frame in gateway.posted.get("a=", [])] == ([START.type] if started else [])
