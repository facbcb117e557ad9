"""Parts of a reply as they are kept and sent."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.chat.protocol.parts import (
    MAX_KEPT_BYTES,
    MAX_PART_BYTES,
    TEXTS,
    as_view,
    bounded,
    fitting,
    kept_parts,
    parts_in,
)
from handlers.chat.records import Part, PartKind, PartState
from tests.support.parts import CALL, REASONING, REFUSAL, SOURCE, parts_of_replies


@pytest.mark.parametrize(
    ("part", "shown"),
    [
        (REASONING, {"kind": "reasoning", "text": "Hm."}),
        (REFUSAL, {"kind": "refusal", "text": "No."}),
        (CALL, {"kind": "tool_call", "callId": "m-1-0", "name": "weather", "arguments": "{}", "state": "running"}),
        (
            replace(CALL, state=PartState.DONE, result="sun"),
            {
                "kind": "tool_call",
                "callId": "m-1-0",
                "name": "weather",
                "arguments": "{}",
                "state": "done",
                "result": "sun",
            },
        ),
        (SOURCE, {"kind": "source", "url": "https://example.org", "title": "Tea"}),
        (replace(REASONING, cut=True), {"kind": "reasoning", "text": "Hm.", "cut": True}),
    ],
)
def test_parts_on_the_wire(part, shown):
    assert as_view(part).as_data() == shown


@given(st.lists(parts_of_replies(), max_size=5))
def test_what_is_kept_is_what_was_stored(parts):
    parts = fitting(parts)
    assert parts_in(kept_parts(parts)) == parts


def test_a_reply_without_parts_keeps_nothing():
    assert (kept_parts(()), parts_in(None)) == (None, ())


def test_a_part_of_a_later_version_is_passed_over():
    kept = json.loads(kept_parts([CALL]))
    later = json.dumps([{"index": 0, "offset": 0, "kind": "hologram"}, {**kept[0], "state": "dreaming"}, *kept])
    assert parts_in(later) == (CALL,)


@given(parts_of_replies(scale=10_000))
def test_a_part_fits_into_a_frame_and_says_if_it_was_cut(part):
    fit = bounded(part)
    assert part.kind in TEXTS or len(kept_parts((fit,)).encode()) <= MAX_PART_BYTES
    assert fit == part or fit.cut
    assert bounded(fit) == fit


def test_calls_are_cut_to_what_people_read():
    fit = bounded(replace(CALL, arguments="a" * 5_000, result="r" * 9_000))
    assert (len(fit.arguments), len(fit.result), fit.cut) == (4_000, 8_000, True)


@given(st.lists(parts_of_replies(scale=5_000), max_size=20), st.sampled_from([0, 2, 100, 2_000, MAX_KEPT_BYTES]))
def test_parts_fit_into_what_is_left(parts, most):
    fit = fitting(parts, most)
    assert len((kept_parts(fit) or "").encode()) <= most
    assert [each.index for each in fit] == [each.index for each in parts[: len(fit)]]
    assert [bool(each.text) for each in fit] == [bool(each.text) for each in parts[: len(fit)]], (
        "one without is no part"
    )


def test_many_long_parts_are_cut_and_none_is_left_out():
    many = [replace(CALL, index=index, arguments="a" * 4_000, result="🙂" * 8_000) for index in range(128)]
    assert [each.call_id for each in fitting(many)] == ["m-1-0"] * 128


def test_half_a_character_is_replaced():
    assert bounded(Part(PartKind.REASONING, 0, text="a\ud83d")).text == "a\ufffd"
