"""The emulator's side of AWS, through unmodified boto3 clients, while the chat runs on it."""

import json
import time
import urllib.error
import urllib.request

import pytest
from parley.dev_tokens import token

from tests.support import contract
from tests.support.devices import SECRET
from tests.support.waiting import HANGS, until


@pytest.fixture
def gateway(emulator):
    return emulator.client("apigatewaymanagementapi")


@pytest.fixture
def deliver(emulator):
    def invoke(**payload):
        client = emulator.client("lambda")
        answer = client.invoke(
            FunctionName="DeliverFunction", InvocationType="Event", Payload=json.dumps(payload).encode()
        )
        assert answer["StatusCode"] == 202

    return invoke


class TestConnections:
    def test_anyone_with_the_id_can_post_describe_and_close(self, device, gateway):
        alice = device(user_agent_header="a test")
        connection_id = alice.connection_id()
        frame = contract.own({"type": "x"})
        gateway.post_to_connection(ConnectionId=connection_id, Data=b'{"type":"x"}')
        assert alice.receive("x") == frame
        described = gateway.get_connection(ConnectionId=connection_id)
        assert described["Identity"] == {"SourceIp": "127.0.0.1", "UserAgent": "a test"}
        assert described["LastActiveAt"] >= described["ConnectedAt"]
        gateway.delete_connection(ConnectionId=connection_id)
        assert alice.closing_code() == 1000

    def test_a_closed_connection_is_gone(self, device, gateway):
        alice = device()
        connection_id = alice.connection_id()
        alice.socket.close()

        def is_gone():
            try:
                gateway.post_to_connection(ConnectionId=connection_id, Data=b"{}")
            except gateway.exceptions.GoneException:
                return True
            return False

        until(is_gone)

    def test_a_row_is_kept_just_as_long_as_the_connection(self, device, emulator):
        rows = emulator.client("dynamodb")
        alice = device()
        key = {"connectionId": {"S": alice.connection_id()}}
        row = rows.get_item(TableName="ConnectionsTable", Key=key)["Item"]
        assert int(row["expiresAt"]["N"]) == pytest.approx(time.time() + 7_800, abs=60)
        alice.socket.close()
        until(lambda: "Item" not in rows.get_item(TableName="ConnectionsTable", Key=key))

    def test_a_connection_that_dies_unseen_is_removed_and_harms_nobody(self, device, emulator):
        chats = emulator.client("dynamodb")
        alice = device()
        alice.join("alice")
        key = {"userId": {"S": "alice"}, "chatId": {"S": alice.create_chat()}}

        def subscribers():
            return chats.get_item(TableName="ChatsTable", Key=key)["Item"]["subscribers"]["M"]

        chats.update_item(
            TableName="ChatsTable",
            Key=key,
            UpdateExpression="SET subscribers.#ghost = :joined",
            ExpressionAttributeNames={"#ghost": "AAAAAAAAAAAAAAA="},
            ExpressionAttributeValues={":joined": {"M": {"join": {"S": "once"}}}},
        )
        assert len(subscribers()) == 2
        assert alice.ask("Привет")[-1]["data"]["finishReason"] == "stop"
        until(lambda: len(subscribers()) == 1)


FRAME = contract.own({"type": "note", "data": {"text": "Чай готов"}})


class TestDelivery:
    def test_a_user_is_reached_on_every_device(self, device, deliver):
        laptop, phone, other = device(), device(), device()
        laptop.join("alice")
        phone.join("alice")
        other.join("bob")
        deliver(frame=FRAME, user_id="alice")
        for each in (laptop, phone):
            assert each.receive("note") == FRAME
        other.send("ping")
        other.receive("pong")
        assert FRAME not in other.frames

    def test_a_broadcast_reaches_every_connection_that_has_a_user(self, device, deliver):
        devices, anonymous = [device() for _ in range(5)], device()
        for number, each in enumerate(devices):
            each.join("alice" if number % 2 else "bob")
        deliver(frame=FRAME)
        for each in devices:
            assert each.receive("note") == FRAME
        anonymous.send("ping")
        anonymous.receive("pong")
        assert FRAME not in anonymous.frames


class TestHttp:
    def get(self, emulator, path, **headers):
        request = urllib.request.Request(f"{emulator.url}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=HANGS) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def test_health(self, emulator):
        assert self.get(emulator, "/health") == (200, {"status": "ok"})

    def test_me_is_whose_the_token_is(self, emulator):
        bearer = f"Bearer {token('bob', SECRET)}"
        assert self.get(emulator, "/me", Authorization=bearer) == (200, {"userId": "bob", "name": "bob", "roles": []})

    @pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic x"}])
    def test_me_without_a_good_token(self, emulator, headers):
        assert self.get(emulator, "/me", **headers)[0] == 401

    def test_an_unknown_path(self, emulator):
        assert self.get(emulator, "/nothing")[0] == 404
