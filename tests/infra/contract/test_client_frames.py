"""The schema of client frames, and what the server accepts: they are the same."""

import json

import jsonschema_rs
from hypothesis import given
from hypothesis import strategies as st

from handlers.chat.errors import Refused
from handlers.chat.protocol.client_frames import CLIENT_FRAMES
from handlers.chat.protocol.parsing import open_envelope
from infra.contract.documents import committed

SCHEMA = committed("protocol.schema.json")
VALIDATOR = jsonschema_rs.validator_for({**SCHEMA, "anyOf": [{"$ref": "#/$defs/ClientFrame"}]})

TEXTS = st.sampled_from(["", "x", "ж" * 64, "x" * 65, "x" * 128, "x" * 129, "x" * 200, "x" * 201])
NUMBERS = st.sampled_from([-1, 0, 1, 100, 101, 2**53 - 1, 2**53, 0.5])
PLAIN = st.one_of(TEXTS, NUMBERS, st.booleans(), st.none())
POINTS = st.fixed_dictionaries({}, optional={"messageId": PLAIN, "offset": PLAIN, "attempt": PLAIN})
VALUES = st.one_of(PLAIN, st.lists(TEXTS, max_size=2), POINTS)


@st.composite
def client_frames(draw):
    """Return a frame of a type that exists, whose fields have any values. Often it is right."""
    kind = draw(st.sampled_from(sorted(CLIENT_FRAMES)))
    names = [field.alias for field in CLIENT_FRAMES[kind].model_fields.values()]
    data = draw(st.one_of(st.fixed_dictionaries({}, optional=dict.fromkeys([*names, "unknown"], VALUES)), st.none()))
    others = draw(st.fixed_dictionaries({}, optional={"requestId": st.one_of(st.none(), TEXTS)}))
    return {"type": kind, "data": data, **others}


@given(client_frames())
def test_the_schema_has_what_the_server_accepts_and_nothing_else(frame):
    try:
        accepted = bool(open_envelope(json.dumps(frame)).frame())
    except Refused:
        accepted = False
    assert VALIDATOR.is_valid(frame) == accepted
