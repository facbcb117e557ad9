"""A reply on its way: what each connection gets, and what one of them costs the others."""

import threading
import time
from dataclasses import replace
from datetime import timedelta
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.chat.concurrency import Runtime
from handlers.chat.protocol.frames import AssistantMessageComplete, AssistantMessageStart, utf16_length
from handlers.chat.protocol.stream import MAX_PIECE_CHARS, Cursor, Script
from handlers.chat.records import FinishReason, Message, Resume, Role, Subscription
from handlers.chat.replies.relay import Relay
from handlers.chat.settings import Pace
from tests.support.recording_gateway import ALWAYS, RecordingGateway
from tests.support.runtime import NOON, FakeRuntime
from tests.support.waiting import HANGS, until
from tests.support.waiting import until as wait_until

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
AN_HOUR = HOUR.total_seconds()
START = AssistantMessageStart(message="…", message_id="m", chat_id="c")


def subscribers(*connections, join="first"):
    return {connection_id: Subscription(join) for connection_id in connections}


def complete(text):
    return AssistantMessageComplete(
        message_id="m",
        content=text,
        timestamp="t",
        chat_id="c",
        length=utf16_length(text),
        finish_reason=FinishReason.STOP,
    )


def stored_reply(text):
    return Message("c", "m", Role.ASSISTANT, text, NOON, finish_reason=FinishReason.STOP)


class TestScript:
    def script(self, text="", ended=False, start=START):
        script = Script(start, text)
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
        script.add(" два три")
        frame, _ = script.after(cursor)
        assert (frame.token, frame.offset) == (" два три", 4)

    def test_the_work_for_a_reply_grows_with_its_length_however_many_pieces_it_comes_in(self, monkeypatch):
        touched = 0

        class CountingText(StringIO):
            def write(self, text):
                nonlocal touched
                touched += len(text)
                return super().write(text)

            def read(self, size=-1):
                nonlocal touched
                touched += len(text := super().read(size))
                return text

            def getvalue(self):
                nonlocal touched
                touched += len(text := super().getvalue())
                return text

        monkeypatch.setattr("handlers.chat.protocol.stream.StringIO", CountingText)
        script, cursor = self.script(), Cursor(started=True)
        for _ in range(1_000):
            script.add("piece")
            _, cursor = script.after(cursor)
        assert script.text == "piece" * 1_000
        assert touched == 3 * 5_000, "written once, read once for the connection, read once here"

    @given(st.lists(st.text("a\n\r🙂\u2028", max_size=5)))
    def test_pieces_of_any_text_are_sent_as_they_came(self, pieces):
        script, cursor, sent = self.script(), Cursor(started=True), ""
        for piece in pieces:
            script.add(piece)
            while step := script.after(cursor):
                frame, cursor = step
                sent += frame.token
        assert sent == script.text == "".join(pieces)
        assert cursor.offset == utf16_length(sent)

    def test_offsets_count_as_javascript_does(self):
        script = self.script("👩👩")
        _, cursor = script.after(Cursor(started=True))
        script.add("!")
        assert script.after(cursor)[0].offset == 4

    def test_a_long_piece_takes_several_frames(self):
        script, cursor, sizes = self.script("x" * (2 * MAX_PIECE_CHARS + 1)), Cursor(started=True), []
        while step := script.after(cursor):
            frame, cursor = step
            sizes.append(len(frame.token))
        assert sizes == [MAX_PIECE_CHARS, MAX_PIECE_CHARS, 1]

    def test_a_late_connection_gets_the_text_so_far_with_its_start(self):
        script = self.script("schon da")
        start, cursor = script.after(script.late())
        assert (start.type, start.offset, start.content) == (START.type, 0, "schon da")
        script.add("!")
        assert script.after(cursor)[0].offset == 8

    def test_one_that_resumes_gets_what_it_lacks(self):
        script = self.script("👩 schon da", ended=True)
        start, cursor = script.after(script.resume(Resume(message_id="m", offset=3)))
        assert (start.offset, start.content) == (3, "schon da")
        assert script.after(cursor)[0].type == "assistant_message_complete"

    @pytest.mark.parametrize(("offset", "nearest"), [(0, 0), (1, 0), (2, 2), (11, 11), (12, 11), (2**53 - 1, 11)])
    def test_an_offset_between_or_beyond_characters_is_the_nearest_one_before(self, offset, nearest):
        script = self.script("👩 schon da")
        start, _ = script.after(script.resume(Resume(message_id="m", offset=offset)))
        assert start.offset == nearest

    @pytest.mark.parametrize(
        ("resume", "attempt"),
        [
            (Resume(message_id="other", offset=3), 1),
            (Resume(message_id="m", offset=3), 2),
            (Resume(message_id="m", offset=3, attempt=1), 2),
            (None, 1),
        ],
    )
    def test_a_client_with_another_attempts_text_begins_at_the_start(self, resume, attempt):
        script = self.script("schon da", start=replace(START, attempt=attempt))
        start, _ = script.after(script.resume(resume))
        assert (start.offset, start.content, start.attempt) == (0, "schon da", attempt)

    def test_a_client_with_the_same_attempts_text_resumes_it(self):
        script = self.script("schon da", start=replace(START, attempt=2))
        assert script.after(script.resume(Resume(message_id="m", offset=6, attempt=2)))[0].content == "da"

    def test_frames_carry_the_attempt(self):
        script = self.script("a", start=replace(START, attempt=3))
        assert [script.after(cursor)[0].attempt for cursor in (Cursor(), Cursor(started=True))] == [3, 3]

    def test_a_connection_that_gets_the_end_gets_nothing_else(self):
        script = self.script("schon da", ended=True)
        frame, cursor = script.after(Cursor(started=True, characters=8, offset=8))
        assert (frame.type, script.after(cursor)) == ("assistant_message_complete", None)


def relay_all(gateway, pieces, connections=("a=",), pause=0.0, late=()):
    gone = []
    relay = Relay(gateway, START, gone.append, Runtime())
    relay.follow(subscribers(*connections))
    for piece in pieces:
        relay.add(piece)
        time.sleep(pause)
    relay.follow(subscribers(*connections, *late))
    relay.finish(complete("".join(pieces)))
    return gone


def test_every_connection_gets_the_whole_reply_in_order():
    gateway = RecordingGateway()
    pieces = [f"{number} " for number in range(200)]
    relay_all(gateway, pieces, ("a=", "b="))
    for connection_id in ("a=", "b="):
        first, *tokens, last = gateway.kinds(connection_id)
        assert (first, set(tokens), last) == ("start", {"token"}, "complete")
        assert gateway.text_at(connection_id) == "".join(pieces)


def test_frames_grow_while_a_post_is_in_flight():
    gateway = RecordingGateway(held=("a=",))
    relay = Relay(gateway, START, lambda gone: None, Runtime())
    relay.follow(subscribers("a="))
    for _ in range(100):
        relay.add("x")
    gateway.released.set()
    relay.finish(complete("x" * 100))
    assert gateway.kinds("a=") == ["start", "token", "complete"]
    assert gateway.text_at("a=") == "x" * 100


def test_a_slow_connection_delays_nobody():
    gateway = RecordingGateway(held=("slow=",))
    relay = Relay(gateway, START, lambda gone: None, Runtime())
    relay.follow(subscribers("slow=", "fast="))
    relay.add("x" * 20)
    until(lambda: gateway.text_at("fast=") == "x" * 20)
    assert gateway.to("slow=") == []
    gateway.released.set()
    relay.finish(complete("x" * 20))
    assert gateway.text_at("slow=") == "x" * 20


def test_the_pace_spares_the_first_ten_frames_and_then_bounds_their_number():
    gateway = RecordingGateway()
    relay = Relay(gateway, START, lambda gone: None, Runtime(), Pace(AN_HOUR, AN_HOUR))
    relay.follow(subscribers("a="))
    for number in range(10):
        relay.add("x")
        gateway.until("a=", number + 2)  # the start frame is one more
    for _ in range(140):
        relay.add("x")
    time.sleep(0.05)
    assert len(gateway.to("a=")) == 11
    relay.finish(complete("x" * 150))
    assert gateway.kinds("a=")[11:] == ["token", "complete"]
    assert gateway.text_at("a=") == "x" * 150


def test_a_connection_that_waits_for_its_pace_is_not_woken_up_by_more_text():
    gateway, never = RecordingGateway(), 1e6
    relay = Relay(gateway, START, lambda gone: None, Runtime(), Pace(never, unpaced_frames=1))
    relay.follow(subscribers("a="))
    relay.add("first")
    wait_until(lambda: gateway.text_at("a=") == "first" and relay._hungry)
    relay.add("x")
    wait_until(lambda: not relay._hungry)
    woken = []
    wake, relay._changed.notify_all = relay._changed.notify_all, lambda: woken.append(1)
    for _ in range(100):
        relay.add("x")
    relay._changed.notify_all = wake
    assert woken == []
    relay.finish(complete("first" + "x" * 101))
    assert gateway.text_at("a=") == "first" + "x" * 101


def test_a_failed_post_is_tried_again_and_nothing_is_lost():
    gateway = RecordingGateway(failing={"a=": 3})
    relay_all(gateway, ["один", " два", " три"], ("a=", "b="))
    assert gateway.text_at("a=") == gateway.text_at("b=") == "один два три"
    assert gateway.kinds("a=")[-1] == "complete"


def test_a_frame_delivered_twice_can_be_cut_by_its_offset():
    gateway = RecordingGateway(failing_after_delivery={"a=": 3})
    relay_all(gateway, ["один", " два", " три"], pause=0.01)
    assert gateway.text_at("a=") == "один два три"


def test_a_connection_that_is_gone_is_reported_once_and_harms_no_other():
    gateway = RecordingGateway(gone={"a="})
    assert relay_all(gateway, ["x"] * 10, ("a=", "b=")) == ["a="]
    assert gateway.text_at("b=") == "x" * 10
    assert gateway.to("a=") == []


def test_one_that_joined_meanwhile_gets_all_of_it():
    gateway = RecordingGateway()
    relay_all(gateway, ["x"], late=("late=",))
    assert gateway.kinds("late=") == ["start", "complete"]
    assert gateway.text_at("late=") == "x"
    assert gateway.kinds("a=").count("complete") == 1


def test_one_that_joins_again_goes_on_where_it_resumes():
    gateway = RecordingGateway()
    relay = Relay(gateway, START, lambda gone: None, Runtime())
    relay.follow(subscribers("a="))
    relay.add("one two")
    gateway.until("a=", 2)
    relay.follow({"a=": Subscription("second", Resume(message_id="m", offset=4))})
    gateway.until("a=", 3)
    relay.add(" three")
    relay.finish(complete("one two three"))
    again = gateway.to("a=")[2]
    assert (again["type"], again["data"]["offset"], again["data"]["content"]) == (START.type, 4, "two")
    assert gateway.text_at("a=") == "one two three"
    assert gateway.kinds("a=").count("complete") == 1


def test_one_that_leaves_gets_nothing_more():
    gateway = RecordingGateway()
    relay = Relay(gateway, START, lambda gone: None, Runtime())
    relay.follow(subscribers("a=", "b="))
    relay.add("one")
    gateway.until("a=", 2)
    gateway.until("b=", 2)
    relay.follow(subscribers("b="))
    relay.add(" two")
    relay.finish(complete("one two"))
    assert (gateway.text_at("a="), gateway.text_at("b=")) == ("one", "one two")
    assert "complete" not in gateway.kinds("a=")


def test_one_that_comes_back_gets_everything():
    gateway = RecordingGateway()
    relay = Relay(gateway, START, lambda gone: None, Runtime())
    relay.follow(subscribers("a="))
    relay.add("one")
    gateway.until("a=", 2)
    relay.follow({})
    relay.follow(subscribers("a=", join="second"))
    relay.finish(complete("one"))
    assert gateway.kinds("a=")[-2:] == ["start", "complete"]


class TestTheEndOfASession:
    """`now` is a list of one moment, which the test moves."""

    @pytest.fixture
    def now(self):
        return [NOON]

    def relay(self, gateway, now):
        return Relay(gateway, START, lambda gone: None, FakeRuntime(lambda: now[0]))

    def test_from_then_on_nothing_is_sent(self, now):
        relay = self.relay(gateway := RecordingGateway(), now)
        relay.follow({"a=": Subscription("first", until=NOON + SECOND), "b=": Subscription("first", until=NOON + HOUR)})
        relay.add("one")
        gateway.until("a=", 2)
        now[0] = NOON + SECOND
        relay.add(" two")
        relay.finish(complete("one two"))
        assert (gateway.text_at("a="), gateway.text_at("b=")) == ("one", "one two")
        assert (gateway.kinds("a=")[-1], gateway.kinds("b=")[-1]) == ("token", "complete")

    def test_a_post_that_failed_before_is_not_tried_again(self, now):
        relay = self.relay(gateway := RecordingGateway(failing={"a=": ALWAYS}), now)
        relay.follow({"a=": Subscription("first", until=NOON + SECOND)})
        now[0] = NOON + SECOND
        gateway.failing.clear()
        relay.finish(complete(""))
        assert gateway.to("a=") == []

    def test_a_new_token_goes_on_where_it_ended(self, now):
        relay = self.relay(gateway := RecordingGateway(), now)
        relay.follow({"a=": Subscription("first", until=NOON + SECOND)})
        relay.add("one")
        gateway.until("a=", 2)
        now[0] = NOON + SECOND
        relay.add(" two")
        relay.wait(5)
        assert gateway.text_at("a=") == "one"
        relay.follow({"a=": Subscription("first", until=NOON + HOUR)})
        relay.finish(complete("one two"))
        assert gateway.text_at("a=") == "one two"
        assert gateway.kinds("a=").count("complete") == 1

    def test_a_stored_reply_is_not_announced_either(self, now):
        now[0] = NOON + SECOND
        relay = self.relay(gateway := RecordingGateway(), now)
        subscriptions = {"a=": Subscription("first", until=now[0]), "b=": Subscription("first")}
        relay.announce(subscriptions, stored_reply("x"))
        assert (gateway.kinds("a="), gateway.kinds("b=")) == ([], ["start", "complete"])


def test_one_that_leaves_after_the_end_gets_nothing_more():
    gateway = RecordingGateway(failing={"a=": ALWAYS, "b=": ALWAYS})
    relay = Relay(gateway, START, lambda gone: None, Runtime(), subscribers=lambda: {"b="})
    relay.follow(subscribers("a=", "b="))
    finishing = threading.Thread(target=relay.finish, args=(complete(""),))
    finishing.start()
    until(lambda: relay.frames <= 3)
    gateway.failing.clear()
    finishing.join(HANGS)
    assert (gateway.kinds("a="), gateway.kinds("b=")) == ([], ["start", "complete"])


def test_an_announcement_is_the_whole_reply_from_its_beginning():
    gateway = RecordingGateway(gone={"gone="}, failing={"b=": 1})
    relay = Relay(gateway, START, lambda gone: None, Runtime())
    text = "x" * (MAX_PIECE_CHARS + 1)
    relay.announce(subscribers("a=", "b=", "gone="), stored_reply(text))
    for device in ("a=", "b="):
        assert gateway.kinds(device) == ["start", "token", "complete"]
        assert gateway.to(device)[0]["data"]["offset"] == 0
        assert gateway.text_at(device) == text


def test_frames_are_counted_that_were_posted_and_that_are_still_to_come():
    gateway = RecordingGateway(held={"slow="}, gone={"gone="}, failing={"a=": 2})
    relay = Relay(gateway, START, lambda gone: None, Runtime())
    relay.follow(subscribers("a=", "gone=", "slow="))
    gateway.until("a=", 1)
    relay.add("x" * (MAX_PIECE_CHARS + 1))
    gateway.until("a=", 3)
    until(lambda: relay.frames == (3 + 1) + 4)
    gateway.released.set()
    relay.finish(complete("x" * (MAX_PIECE_CHARS + 1)))
    assert relay.frames == len(gateway.to("a=")) + len(gateway.to("slow=")) == 8


@pytest.mark.parametrize("started", [True, False])
def test_an_abandoned_relay_sends_nothing_more(started):
    gateway = RecordingGateway()
    relay = Relay(gateway, START, lambda gone: None, Runtime())
    if started:
        relay.follow(subscribers("a="))
        gateway.until("a=", 1)
    relay.abandon()
    relay.follow(subscribers("a=", "b="))
    relay.add("x")
    time.sleep(0.05)
    assert [frame["type"] for frame in gateway.to("a=")] == ([START.type] if started else [])
    assert gateway.to("b=") == []
