"""The entry points, called as Lambda calls them, with events as AWS sends them."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from aws_lambda_powertools.utilities.parser.models import APIGatewayProxyEventV2Model
from parley.dev_tokens import token

from handlers import api, connect, default, deliver, disconnect
from handlers.chat.assistants import Assistant
from handlers.chat.records import Connection
from tests.support import contract
from tests.support.assistants import assistants
from tests.support.lambda_context import LambdaContext
from tests.support.recording_gateway import RecordingGateway
from tests.support.runtime import FakeRuntime
from tests.support.websocket_events import CONNECTION_ID, connect_event, disconnect_event, message_event
from tests.support.wiring import wiring

SECRET = "a secret of at least thirty-two bytes"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def http_event(path, **headers):
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"host": "abc.execute-api.us-east-1.amazonaws.com", **headers},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc",
            "domainName": "abc.execute-api.us-east-1.amazonaws.com",
            "domainPrefix": "abc",
            "http": {
                "method": "GET",
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "curl/8.5.0",
            },
            "requestId": "BFaX1gqKIAMEVTA=",
            "routeKey": "$default",
            "stage": "$default",
            "time": "11/Nov/2024:11:35:24 +0000",
            "timeEpoch": 1731324924553,
        },
        "isBase64Encoded": False,
    }
    APIGatewayProxyEventV2Model.model_validate(event)
    return event


@pytest.fixture
def gateway():
    return RecordingGateway()


@pytest.fixture
def wired(gateway):
    return wiring(gateway=gateway)


@pytest.fixture
def functions(store):
    """The two functions that others invoke, as moto has them: they answer, and do nothing."""
    role = boto3.client("iam").create_role(RoleName="role", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    for name in ("DeliverFunction", "GenerateFunction"):
        boto3.client("lambda").create_function(
            FunctionName=name, Role=role, Runtime="python3.13", Handler="x.y", Code={"ZipFile": b"x"}
        )


class TestConnect:
    def test_an_anonymous_connection_is_let_in(self, store, functions):
        assert connect.handler(connect_event(), LambdaContext()) == {"statusCode": 200}
        connected_at = datetime.fromtimestamp(1731324924.553, UTC)
        assert store.connections.get(CONNECTION_ID) == Connection(CONNECTION_ID, connected_at)

    def test_its_greeting_has_the_version_of_the_protocol_and_the_assistants(self, store, wired, monkeypatch):
        tea = Assistant(title={"ru": "Чай", "en": "Tea"}, starters=("Which?",), instructions="Secret.")
        monkeypatch.setattr(wired, "settings", replace(wired.settings, assistants=assistants(tea=tea)))
        delivered = []
        monkeypatch.setattr(wired, "deliver", delivered.append)
        assert connect.handle(connect_event(), wired) == {"statusCode": 200}
        greeting = delivered[0].payload()["frame"]["data"]
        assert greeting["protocol"] == "1.2"
        assert greeting["assistants"] == [
            {"id": "default", "title": "default", "starters": []},
            {"id": "tea", "title": "Чай", "starters": ["Which?"]},
        ]

    def test_a_good_token_authenticates_it(self, store, functions):
        assert connect.handler(connect_event(token=token("alice", SECRET)), LambdaContext()) == {"statusCode": 200}
        assert store.connections.get(CONNECTION_ID).user_id == "alice"

    def test_a_bad_one_is_refused_and_leaves_nothing_behind(self, store):
        assert connect.handler(connect_event(token="bad"), LambdaContext()) == {"statusCode": 401}
        assert store.connections.get(CONNECTION_ID) is None

    def test_a_user_who_is_disabled_while_they_connect_is_refused(self, store, functions, wired, monkeypatch):
        add = store.connections.add

        def meanwhile(connection):
            wired.store.users.set_disabled("alice", True)
            add(connection)

        monkeypatch.setattr(wired.store.connections, "add", meanwhile)
        assert connect.handle(connect_event(token=token("alice", SECRET)), wired) == {"statusCode": 401}
        assert store.connections.get(CONNECTION_ID) is None

    def test_one_too_many_takes_the_place_of_the_oldest(self, store, functions, gateway, wired):
        now = datetime.now(UTC)
        for minutes in range(wired.settings.limits.connections_per_user):
            store.connections.add(Connection(f"{minutes}=", now - timedelta(minutes=minutes), "alice"))
        assert connect.handle(connect_event(token=token("alice", SECRET)), wired) == {"statusCode": 200}
        assert gateway.closed == ["19="]
        assert store.connections.get("19=") is None
        assert store.connections.get(CONNECTION_ID).user_id == "alice"


def test_disconnecting_forgets_the_connection(store):
    store.connections.add(Connection(CONNECTION_ID, NOON))
    for _ in ("delivered", "delivered again"):
        assert disconnect.handler(disconnect_event(), LambdaContext()) == {"statusCode": 200}
        assert store.connections.get(CONNECTION_ID) is None


class TestDefault:
    @pytest.fixture(autouse=True)
    def connection(self, store, functions, gateway, wired):
        self.gateway, self.wired = gateway, wired
        store.connections.add(Connection(CONNECTION_ID, NOON))

    def sends(self, kind, **data):
        answer = default.handle(message_event(json.dumps({"type": kind, "data": data})), LambdaContext(), self.wired)
        assert answer == {"statusCode": 200}
        return self.gateway.to(CONNECTION_ID)

    def test_answers_are_posted(self):
        [pong] = self.sends("ping")
        assert pong["type"] == "pong"

    def test_a_message_is_acknowledged_and_stored(self, store):
        self.sends("join_chat", token=token("alice", SECRET))
        chat_id = self.sends("create_chat")[-1]["data"]["chatId"]
        assert self.sends("message", message="Привет")[-1]["data"]["content"] == "Привет"
        assert [message.content for message in store.messages.newest_first(chat_id)] == ["Привет"]

    def test_text_that_is_no_frame_is_answered_too(self):
        default.handle(message_event("{"), LambdaContext(), self.wired)
        assert self.gateway.to(CONNECTION_ID) == [
            {"type": "error", "data": {"message": "Invalid message format", "code": "invalid_format"}}
        ]


class TestAFlood:
    @pytest.fixture(autouse=True)
    def connection(self, store, functions, gateway, monkeypatch):
        monkeypatch.setenv("FRAMES_PER_SECOND", "1")
        self.gateway = gateway
        self.wired = wiring(gateway=gateway, runtime=FakeRuntime(datetime.fromtimestamp(1_731_324_924, UTC)))
        store.connections.add(Connection(CONNECTION_ID, NOON))

    def sends(self, number, body='{"type": "ping", "requestId": "r1"}'):
        for _ in range(number):
            assert default.handle(message_event(body), LambdaContext(), self.wired) == {"statusCode": 200}

    def test_is_answered_once_by_name_and_without_the_database(self, monkeypatch):
        self.sends(5)
        monkeypatch.setattr(type(self.wired.store.connections), "get", None)
        self.sends(9)
        *pongs, error = self.gateway.to(CONNECTION_ID)
        assert [pong["type"] for pong in pongs] == ["pong"] * 5
        assert error["requestId"] == "r1"
        data = {"message": "No more than 1 frames a second", "code": "rate_limited", "retryAfter": 2}
        assert error["data"] == data

    def test_text_that_is_no_frame_counts_and_is_answered(self):
        self.sends(5)
        self.sends(1, body="{")
        assert self.gateway.to(CONNECTION_ID)[-1]["data"]["code"] == "rate_limited"

    def test_that_goes_on_ends_the_connection(self, store):
        self.sends(100)
        assert self.gateway.closed == [CONNECTION_ID]
        assert store.connections.get(CONNECTION_ID) is None
        assert len(self.gateway.to(CONNECTION_ID)) == 5 + 1


def test_delivering_to_a_user(store, functions, gateway, wired):
    store.connections.add(Connection(CONNECTION_ID, NOON, "alice"))
    frame = contract.own({"type": "note", "data": {"text": "Чай готов"}})
    deliver.handle({"user_id": "alice", "frame": frame}, LambdaContext(), wired)
    assert gateway.frames == [(CONNECTION_ID, frame)]


class TestApi:
    @pytest.fixture(autouse=True)
    def event_loop(self):
        """The main thread has one when Lambda imports a handler; earlier tests may have taken it away."""
        asyncio.set_event_loop(loop := asyncio.new_event_loop())
        yield
        loop.close()

    def test_health(self, aws):
        answer = api.handler(http_event("/health"), LambdaContext())
        assert (answer["statusCode"], json.loads(answer["body"])) == (200, {"status": "ok"})

    def test_me(self, store):
        answer = api.handler(http_event("/me", authorization=f"Bearer {token('alice', SECRET)}"), LambdaContext())
        assert json.loads(answer["body"]) == {"userId": "alice", "name": "Alice", "roles": []}

    @pytest.mark.parametrize(
        ("headers", "challenge"),
        [({}, "Bearer"), ({"authorization": "Bearer bad"}, 'Bearer error="invalid_token"')],
    )
    def test_me_without_a_good_token(self, store, headers, challenge):
        answer = api.handler(http_event("/me", **headers), LambdaContext())
        assert (answer["statusCode"], answer["headers"]["www-authenticate"]) == (401, challenge)
