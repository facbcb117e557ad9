"""Parts of a reply, from the model to the devices and the database."""

from dataclasses import replace

import pytest

from handlers.chat.protocol.parts import MAX_KEPT_BYTES, kept_parts
from handlers.chat.records import Part, PartKind, Resume
from handlers.chat.replies.deltas import Delta
from handlers.chat.settings import Reasoning
from tests.faults.reading import Reading
from tests.support.conversation import ask, seal
from tests.support.parts import CALL
from tests.support.reply_worker import LATER, STOP, TURN, ScriptedModel, join, make_reply

THINKING = (Delta(reasoning="Let me "), Delta(reasoning="think. "), "Sun", Delta(reasoning="Sure?"), ".", STOP)
THOUGHT = (Part(PartKind.REASONING, 0, 0, "Let me think. "), Part(PartKind.REASONING, 1, 3, "Sure?"))


def reading(gateway, connection_id):
    """Return what a device has that keeps to the protocol."""
    read = Reading()
    for frame in gateway.to(connection_id):
        read.take_frame(frame)
    return read


def shown(*parts):
    return {part.index: {"offset": part.offset, "kind": part.kind.value, "text": part.text} for part in parts}


class TestReasoning:
    def test_by_default_nobody_gets_it(self, store, gateway, chat):
        make_reply(store, gateway, ScriptedModel(*THINKING))
        assert {frame["type"] for frame in gateway.to("c1=")} == {
            "assistant_message_start",
            "assistant_message_token",
            "assistant_message_complete",
        }
        assert store.messages.get("chat", "m2").parts == ()

    @pytest.mark.parametrize(("setting", "kept"), [(Reasoning.SHOWN, ()), (Reasoning.STORED, THOUGHT)])
    def test_it_is_shown_and_stored_as_the_setting_says(self, store, gateway, chat, setting, kept):
        make_reply(store, gateway, ScriptedModel(*THINKING), reasoning=setting)
        for device in ("c1=", "c2="):
            read = reading(gateway, device)
            assert (read.text, read.parts) == ("Sun.", shown(*THOUGHT))
            assert read.completes[0].get("partCount", 0) == len(kept)
        assert store.messages.get("chat", "m2").parts == kept

    def test_no_later_turn_sends_it_to_the_model(self, store, gateway, chat):
        make_reply(store, gateway, ScriptedModel(*THINKING), reasoning=Reasoning.STORED)
        handover = ask(store, "m3", "m4", "And tomorrow?")
        make_reply(store, gateway, model := ScriptedModel("Rain", STOP), turn=handover, reasoning=Reasoning.STORED)
        [asked] = model.asked
        assert ("assistant", "Sun.") in asked
        assert "think" not in str(asked)

    def test_what_does_not_fit_is_cut(self, store, gateway, chat):
        model = ScriptedModel(*[Delta(reasoning="🙂" * 30_000), "x"] * 5, STOP)
        make_reply(store, gateway, model, reasoning=Reasoning.STORED)
        kept = store.messages.get("chat", "m2").parts
        assert [(part.index, part.offset, part.cut) for part in kept] == [(n, n, True) for n in range(5)]
        assert len(kept_parts(kept).encode()) <= MAX_KEPT_BYTES

    def test_it_leaves_room_for_the_text(self, store, gateway, chat):
        model = ScriptedModel(Delta(reasoning="r" * 20_000), "x" * 349_000, STOP)
        make_reply(store, gateway, model, reasoning=Reasoning.STORED)
        reply = store.messages.get("chat", "m2")
        assert len(reply.content) == 349_000
        assert len(kept_parts(reply.parts).encode()) <= 1_000

    def test_one_that_joins_meanwhile_gets_it_too(self, store, gateway, chat):
        model = ScriptedModel(
            *THINKING[:3],
            lambda: join(store, "late=", Resume("m2", 1)),
            *THINKING[3:],
        )
        make_reply(store, gateway, model, reasoning=Reasoning.SHOWN)
        start, *_ = gateway.to("late=")
        assert start["data"]["offset"] == 1
        assert reading(gateway, "late=").parts == shown(*THOUGHT)


def test_a_reply_that_another_worker_has_stored_is_announced_with_its_parts(store, gateway, chat):
    part = replace(CALL, offset=3)
    seal(store, TURN, "Sun.", parts=(part,))
    make_reply(store, gateway, ScriptedModel(), turn=replace(TURN, attempt=2), now=LATER)
    read = reading(gateway, "c1=")
    [(index, seen)] = read.parts.items()
    assert (read.text, index, seen["offset"], seen["callId"]) == ("Sun.", 0, 3, part.call_id)
    assert read.completes[0]["partCount"] == 1
