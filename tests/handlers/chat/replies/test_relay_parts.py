"""Parts of a reply on their way: posts that fail, the pace, and connections that come late."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.chat.concurrency import Runtime
from handlers.chat.protocol import views
from handlers.chat.protocol.frames import AssistantMessageStart
from handlers.chat.protocol.parts import placed
from handlers.chat.records import FinishReason, Message, PartState, Resume, Role, Subscription
from handlers.chat.replies.relay import Relay
from handlers.chat.settings import Pace
from tests.faults.reading import Reading
from tests.support.parts import CALL
from tests.support.recording_gateway import RecordingGateway
from tests.support.runtime import NOON

START = AssistantMessageStart(message="…", message_id="m", chat_id="c")
NEW_CALL = replace(CALL, index=None)
NEVER = 1e6


def relay_to(gateway, *, gone=None, pace=None, known=("a=",)):
    relay = Relay(gateway, START, (gone if gone is not None else []).append, Runtime(), pace or Pace())
    relay.follow({connection: Subscription("first") for connection in known})
    return relay


def end(relay):
    reply = Message("c", "m", Role.ASSISTANT, relay.text, NOON, finish_reason=FinishReason.STOP, parts=relay.parts)
    relay.finish(views.complete(reply))


def reading(gateway, connection_id):
    read = Reading()
    for frame in gateway.to(connection_id):
        read.take_frame(frame)
        assert not read.missing
    return read


def parts_of(relay):
    views = {part.index: placed(part).as_data() for part in relay.parts}
    return {index: {name: each[name] for name in each if name != "index"} for index, each in views.items()}


def tell_all(relay):
    """Send text, reasoning and a call with three states."""
    relay.reason("Let me ")
    relay.reason("see. ")
    relay.add("One moment. ")
    shown = relay.show(NEW_CALL)
    relay.show(replace(shown, state=PartState.WAITING))
    relay.show(replace(shown, state=PartState.DONE, result="sun"))
    relay.reason("So it is sunny.")
    relay.add("Sun.")


@pytest.mark.parametrize("failures", [{"failing": {"a=": 4}}, {"failing_after_delivery": {"a=": 4}}])
def test_a_post_that_failed_is_tried_again_and_nothing_is_lost(failures):
    gateway = RecordingGateway(**failures)
    relay = relay_to(gateway, known=("a=", "b="))
    tell_all(relay)
    end(relay)
    for connection in ("a=", "b="):
        read = reading(gateway, connection)
        assert (read.text, read.parts) == (relay.text, parts_of(relay))
        assert gateway.kinds(connection)[-1] == "complete"


def test_a_connection_that_is_gone_gets_no_part():
    gateway, gone = RecordingGateway(gone={"a="}), []
    relay = relay_to(gateway, gone=gone, known=("a=", "b="))
    tell_all(relay)
    end(relay)
    assert (gone, gateway.to("a=")) == (["a="], [])
    assert reading(gateway, "b=").parts == parts_of(relay)


def test_one_that_joined_meanwhile_gets_the_states_of_now_after_its_start():
    gateway = RecordingGateway()
    relay = relay_to(gateway)
    tell_all(relay)
    relay.follow({"a=": Subscription("first"), "late=": Subscription("first", Resume("m", 4))})
    end(relay)
    assert gateway.kinds("late=") == ["start", "part", "part", "part", "complete"]
    read = Reading(text="One ", attempt=1)
    for frame in gateway.to("late="):
        read.take_frame(frame)
    assert (read.text, read.parts) == (relay.text, parts_of(relay))


def test_states_join_while_a_post_is_in_flight():
    gateway = RecordingGateway(held=("a=",))
    relay = relay_to(gateway)
    tell_all(relay)
    gateway.released.set()
    end(relay)
    assert gateway.kinds("a=") == ["start", "part", "token", "part", "part", "token", "complete"]


def test_the_first_text_does_not_wait_for_the_pace_of_the_reasoning():
    gateway = RecordingGateway()
    relay = relay_to(gateway, pace=Pace(NEVER, NEVER, unpaced_frames=1))
    relay.reason("Hm")
    gateway.until("a=", 2)
    relay.reason(", hm.")
    relay.add("Sun")
    gateway.until("a=", 4)
    assert gateway.kinds("a=") == ["start", "part", "part", "token"]
    relay.add(", and rain")
    end(relay)
    assert gateway.kinds("a=")[4:] == ["token", "complete"]
    assert reading(gateway, "a=").parts == parts_of(relay)


def test_parts_keep_the_pace_too():
    gateway = RecordingGateway()
    relay = relay_to(gateway, pace=Pace(NEVER, NEVER, unpaced_frames=1))
    relay.add("Sun")
    gateway.until("a=", 2)
    shown = relay.show(NEW_CALL)
    relay.show(replace(shown, state=PartState.DONE))
    end(relay)
    assert gateway.kinds("a=") == ["start", "token", "part", "complete"]


def test_frames_are_counted_with_the_parts():
    gateway = RecordingGateway(held=("a=",))
    relay = relay_to(gateway)
    tell_all(relay)
    to_come = relay.frames
    gateway.released.set()
    end(relay)
    assert to_come == len(gateway.to("a=")) == relay.frames


@given(st.lists(st.sampled_from(["add", "reason", "show", "state", "join"]), max_size=10))
def test_whatever_comes_in_whatever_order_all_have_it_at_the_end(acts):
    gateway = RecordingGateway()
    relay, known = relay_to(gateway), {"a=": Subscription("first")}
    shown = None
    for number, act in enumerate(acts):
        if act == "add":
            relay.add(f"{number}🙂")
        elif act == "reason":
            relay.reason(f"{number}🙂")
        elif act == "show":
            shown = relay.show(NEW_CALL)
        elif act == "state" and shown is not None:
            shown = relay.show(replace(shown, state=PartState.DONE, result=str(number)))
        elif act == "join":
            known[f"{number}="] = Subscription("first")
            relay.follow(known)
    end(relay)
    for connection in known:
        read = reading(gateway, connection)
        assert (read.text, read.parts, len(read.completes)) == (relay.text, parts_of(relay), 1)
