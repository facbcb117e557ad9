"""The JSON Schema of the frames."""

import pytest

from handlers.chat.protocol.client_frames import CLIENT_FRAMES
from handlers.chat.protocol.frames import SERVER_FRAMES
from handlers.chat.records import PartKind
from infra.contract.documents import committed
from infra.contract.schema import wire_text

DEFINITIONS = committed("protocol.schema.json")["$defs"]


def types(direction):
    """Return the types of the frames of a direction."""
    names = [each["$ref"].removeprefix("#/$defs/") for each in DEFINITIONS[direction]["oneOf"]]
    return [DEFINITIONS[name]["properties"]["type"]["const"] for name in names]


def test_each_direction_has_all_of_its_frames():
    assert types("ClientFrame") == list(CLIENT_FRAMES)
    assert types("ServerFrame") == [frame.type for frame in SERVER_FRAMES]


def test_the_server_always_sends_a_field_that_it_does_not_leave_out():
    assert set(DEFINITIONS["UserMessageData"]["required"]) == {"messageId", "content", "role", "timestamp", "chatId"}
    assert DEFINITIONS["UserMessageData"]["properties"]["replaces"]["type"] == "string"


def test_every_field_has_a_description():
    """A field that is a definition of its own has the description of that."""
    undescribed = [
        f"{name}.{key}"
        for name, definition in DEFINITIONS.items()
        for key, field in definition.get("properties", {}).items()
        if not field.keys() & {"description", "$ref", "const"} and key != "data"
    ]
    assert undescribed == []
    assert all("description" in definition for definition in DEFINITIONS.values())


def test_parts_of_each_kind_have_their_own_fields():
    kinds = [each["$ref"].removeprefix("#/$defs/") for each in DEFINITIONS["Part"]["oneOf"]]
    assert [DEFINITIONS[kind]["properties"]["kind"]["const"] for kind in kinds] == list(PartKind)
    assert "url" not in DEFINITIONS["ToolCallPart"]["properties"]


def test_a_client_may_leave_out_data_without_required_fields():
    assert DEFINITIONS["Ping"]["required"] == ["type"]
    assert DEFINITIONS["Approve"]["required"] == ["type", "data"]


@pytest.mark.parametrize(
    ("docstring", "text"),
    [
        ("The `chat_id` is None.", "The `chatId` is null."),
        ("One\n    line.\n\n    Another.", "One line.\n\nAnother."),
        ("`stop` and NoneType", "`stop` and NoneType"),
    ],
)
def test_a_docstring_becomes_a_text_about_the_wire(docstring, text):
    assert wire_text(docstring) == text
