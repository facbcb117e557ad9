"""The AsyncAPI document."""

import json
import re
from pathlib import Path

import jsonschema_rs
import pytest

from handlers.chat.protocol.client_frames import CLIENT_FRAMES
from handlers.chat.protocol.frames import SERVER_FRAMES
from infra.contract.documents import committed
from tests.support import npm

DOCUMENT = committed("asyncapi.json")
MESSAGES = DOCUMENT["components"]["messages"]
OWN_SCHEMA = Path(__file__).parents[1] / "asyncapi"


def referred(found=DOCUMENT):
    """Return the targets of all references."""
    if isinstance(found, dict):
        own = [found["$ref"]] if isinstance(found.get("$ref"), str) else []
        return own + [each for value in found.values() for each in referred(value)]
    return [each for value in found for each in referred(value)] if isinstance(found, list) else []


def test_it_is_valid_for_asyncapi_itself():
    npm.install(OWN_SCHEMA)
    schemas = OWN_SCHEMA / "node_modules" / "@asyncapi" / "specs" / "schemas"
    schema = json.loads((schemas / f"{DOCUMENT['asyncapi']}-without-$id.json").read_text())
    errors = jsonschema_rs.validator_for(schema).iter_errors(DOCUMENT)
    assert [f"{each.instance_path}: {each.message[:300]}" for each in errors] == []


def test_every_reference_leads_somewhere():
    for target in set(referred()):
        found = DOCUMENT
        for step in target.removeprefix("#/").split("/"):
            assert step in found, target
            found = found[step]


def test_every_frame_is_a_message():
    frames = [*CLIENT_FRAMES, *(frame.type for frame in SERVER_FRAMES)]
    assert list(MESSAGES) == [*frames, "gateway_error"]
    assert list(DOCUMENT["channels"]["connection"]["messages"]) == list(MESSAGES)


def test_every_message_is_in_an_operation():
    """And the direction is right: the server receives what clients send."""
    named = {"receive": set(), "send": set()}
    for operation in DOCUMENT["operations"].values():
        answers = operation.get("reply", {"messages": []})["messages"]
        named[operation["action"]] |= {each["$ref"].rpartition("/")[2] for each in operation["messages"]}
        named["send"] |= {each["$ref"].rpartition("/")[2] for each in answers}
    assert named["receive"] == set(CLIENT_FRAMES)
    assert named["send"] == {*(frame.type for frame in SERVER_FRAMES), "gateway_error"}


@pytest.mark.parametrize("name", MESSAGES)
def test_every_message_has_words_and_examples(name):
    message = MESSAGES[name]
    assert message["title"]
    assert message["summary"]
    assert message["examples"]
    assert all(re.fullmatch(r"[A-Z][^.]*[^.]", example["summary"]) for example in message["examples"])


@pytest.mark.parametrize(
    ("name", "payload"), [(name, each["payload"]) for name, message in MESSAGES.items() for each in message["examples"]]
)
def test_every_example_is_valid(name, payload):
    schema = {"$ref": MESSAGES[name]["payload"]["$ref"], "components": {"schemas": DOCUMENT["components"]["schemas"]}}
    jsonschema_rs.Draft7Validator(schema, validate_formats=True).validate(payload)
