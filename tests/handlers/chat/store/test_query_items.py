"""The items of a Query, taken from the JSON as they are, and the messages in them."""

import json
from datetime import UTC

import pytest
from botocore.parsers import ResponseParserFactory
from hypothesis import given
from hypothesis import strategies as st

from handlers.chat.records import Message, Role
from handlers.chat.store.dynamodb import CONNECTION
from handlers.chat.store.tables import MessageItem, message_in

MODEL = CONNECTION.client.meta.service_model.operation_model("Query")
TEXT = {"S": '"B": and {"B":"AA=="} are text here, and so is "BS":'}
CAPACITY = {"TableName": "MessagesTable", "CapacityUnits": 1.5}


def parsed(body, status=200, *, hooked):
    """The result that botocore makes of a body, with and without our hook."""
    response = {"body": json.dumps(body).encode(), "status_code": status, "headers": {}, "context": {}}
    customized = {}
    if hooked:
        event = "before-parse.dynamodb.Query"
        CONNECTION.client.meta.events.emit(event, response_dict=response, customized_response_dict=customized)
    parser = ResponseParserFactory().create_parser(MODEL.service_model.resolved_protocol)
    return parser.parse(response, MODEL.output_shape) | customized, customized


@pytest.mark.parametrize(
    ("body", "status", "taken"),
    [
        ({"Count": 0, "Items": []}, 200, True),
        ({"Count": 1, "Items": [{"text": TEXT, "number": {"N": "1.50"}, "no": {"NULL": True}}]}, 200, True),
        (
            {"Count": 1, "Items": [{"list": {"L": [{"M": {"B": {"S": "B"}}}, {"BOOL": False}, {"SS": ["b"]}]}}]},
            200,
            False,
        ),
        ({"Count": 1, "Items": [{"sizes": {"B": "AAEC/w=="}}]}, 200, False),
        ({"Count": 1, "Items": [{"deep": {"M": {"all": {"BS": ["AAEC"]}}}}]}, 200, False),
        (
            {
                "Count": 1,
                "Items": [{"id": {"S": "1"}}],
                "LastEvaluatedKey": {"id": {"S": "1"}},
                "ConsumedCapacity": CAPACITY,
            },
            *(200, True),
        ),
        ({"__type": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", "message": "no table"}, 400, False),
    ],
)
def test_the_result_of_a_query_is_that_of_botocore(body, status, taken):
    ours, customized = parsed(body, status, hooked=True)
    theirs, _ = parsed(body, status, hooked=False)
    assert ours == theirs
    assert bool(customized) is taken


@pytest.mark.parametrize("body", [b"", b"not JSON", b"[]", b'{"Items": null}', b'{"Count": 3}'])
def test_a_body_without_items_is_left_to_botocore(body):
    response, customized = {"body": body, "status_code": 200}, {}
    event = "before-parse.dynamodb.Query"
    CONNECTION.client.meta.events.emit(event, response_dict=response, customized_response_dict=customized)
    assert (response["body"], customized) == (body, {})


REPLIES = st.builds(
    Message,
    role=st.just(Role.ASSISTANT),
    timestamp=st.datetimes(timezones=st.just(UTC)),
    attempt=st.integers(1, 9),
    parts=st.just(()),
    attachments=st.just(()),
)
QUESTIONS = st.builds(
    Message,
    role=st.just(Role.USER),
    timestamp=st.datetimes(timezones=st.just(UTC)),
    attempt=st.just(1),
    parts=st.just(()),
    attachments=st.just(()),
)


@given(REPLIES | QUESTIONS)
def test_a_message_is_in_its_item_as_it_was_put_there(message):
    found = message_in(MessageItem.of(message).serialize())
    assert (found, found.page) == (message, message.page)


@given(REPLIES | QUESTIONS)
def test_a_message_is_in_its_item_as_pynamodb_reads_it(message):
    raw = MessageItem.of(message).serialize()
    found, read = message_in(raw), MessageItem.from_raw_data(raw)
    for name in ("content", "chat_id", "message_id", "timestamp", "client_message_id", "after", "fork", "page"):
        assert getattr(found, name) == getattr(read, name), name
