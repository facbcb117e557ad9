"""The time that a model's server has to go on, decided on what its reader has read. Moments are seconds."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.chat.replies.deltas import DeltaReader
from handlers.chat.replies.patience import USAGE_SECONDS, Patience
from handlers.chat.settings import ModelTimeouts

TIMEOUTS = ModelTimeouts(first_token_seconds=30, next_token_seconds=20, progress_seconds=600)


def event(reason=None, **delta):
    return b"data: " + json.dumps({"choices": [{"delta": delta, "finish_reason": reason}]}).encode() + b"\n\n"


PING = b": keep-alive\n\n"
ROLE = event(role="assistant", content="")
THINKING = event(reasoning_content="hm")
TEXT = event(content="a")
TEXT_AND_STOP = event("stop", content="a")
STOP = event("stop")


def patience_after(*pieces, start=0):
    """Return the patience after pieces that came at the seconds named before them."""
    reader, patience = DeltaReader(), Patience(TIMEOUTS, start)
    for at, piece in pieces:
        list(reader.feed(piece))
        patience.note(reader, at)
    return patience


@pytest.mark.parametrize(
    ("pieces", "until"),
    [
        ([], 30),
        ([(1, PING)], 30),
        ([(20, PING)], 40),
        ([(20, ROLE)], 40),
        ([(20, THINKING)], 40),
        ([(1, TEXT)], 21),
        ([(1, TEXT), (15, PING)], 35),
        # After the end nothing matters but the usage.
        ([(1, TEXT), (2, TEXT_AND_STOP)], 4),
        ([(1, TEXT), (2, TEXT_AND_STOP), (3, PING)], 4),
        # Unless it may be a server that sends a reason with each text.
        ([(1, TEXT_AND_STOP)], 6),
        ([(1, TEXT_AND_STOP), (2, PING)], 6),
        ([(1, TEXT_AND_STOP), (2, STOP)], 4),
        ([(1, TEXT), (2, STOP)], 4),
        ([(1, TEXT), (2, STOP), (3, PING)], 4),
        # A reason with thinking, or before any text, is no end.
        ([(1, event("stop", reasoning="hm"))], 30),
        ([(1, event("stop", role="assistant"))], 30),
        # A server that sends one with each text has shown it with the second.
        ([(1, TEXT_AND_STOP), (2, TEXT_AND_STOP)], 22),
        ([(1, TEXT_AND_STOP), (2, TEXT_AND_STOP), (10, PING)], 22),
        ([(1, TEXT_AND_STOP), (2, TEXT_AND_STOP), (3, STOP)], 5),
        ([(1, event("stop", reasoning="hm")), (2, TEXT_AND_STOP)], 22),
    ],
)
def test_it_ends(pieces, until):
    patience = patience_after(*pieces)
    assert (patience.until, patience.reason) == (until, "the model is silent")


SIGNS = st.sampled_from([PING, ROLE, b"retry: 1\n\n", b"data: {}\n\n", event(content=None), event("null")])


@given(st.lists(SIGNS, min_size=70), st.sampled_from([None, TEXT, THINKING]))
def test_signs_of_life_alone_are_enough_for_ten_minutes(signs, begun):
    pieces = [(0, begun)] if begun else []
    patience = patience_after(*pieces, *((10 * number, sign) for number, sign in enumerate(signs)))
    assert patience.until == 600
    assert patience.reason == "the model sends nothing but signs of life"


@given(st.integers(1, 100))
def test_a_model_that_goes_on_is_waited_for(pieces):
    thinking = [(500 * number, piece) for number in range(pieces) for piece in (THINKING, PING)]
    assert patience_after(*thinking).until == 500 * (pieces - 1) + 20 if pieces > 1 else True


@given(st.lists(st.sampled_from([PING, TEXT, TEXT_AND_STOP, THINKING, STOP, ROLE])))
def test_after_a_reason_in_a_chunk_of_its_own_it_never_grows(pieces):
    patience = patience_after((0, TEXT), (1, STOP), *((2, piece) for piece in pieces))
    assert patience.until <= 1 + USAGE_SECONDS
