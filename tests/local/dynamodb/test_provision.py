"""The errors for a DynamoDB elsewhere, which the emulator puts the template's tables into."""

import socket
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from parley.dynamodb.plain_client import PlainClient
from parley.dynamodb.provision import provision, provision_embedded
from parley.errors import StartError
from parley.template.reader import read

from tests.support import engines

TEMPLATE = read(Path(__file__).parents[3] / "infra" / "template.yaml")


class TestExternal:
    """The message where there is no DynamoDB; it comes at once."""

    def test_nothing_at_the_address(self, monkeypatch):
        pauses = []
        # botocore's own name for the module, not `time.sleep` itself: threads of other tests sleep, too.
        monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=pauses.append))
        with socket.create_server(("127.0.0.1", 0)) as taken:
            endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"

        with pytest.raises(StartError) as refusal:
            provision(endpoint, TEMPLATE, [], {})

        assert pauses == []
        assert str(refusal.value) == (
            f'No DynamoDB at {endpoint}: Could not connect to the endpoint URL: "{endpoint}/". '
            "Start one there, or leave out --dynamodb for the embedded one."
        )

    def test_no_address(self):
        with pytest.raises(StartError, match=r"No DynamoDB at nonsense: Invalid endpoint: nonsense\. Start one"):
            provision("nonsense", TEMPLATE, [], {})

    def test_something_else_at_the_address(self):
        class Elsewhere(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.send_error(404)

            def log_message(self, *_: Any) -> None:
                """Say nothing on stderr."""

        with HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            endpoint = f"http://127.0.0.1:{server.server_port}"
            with pytest.raises(
                StartError, match=f"No DynamoDB at {endpoint}: the server there answered with 404. Start one"
            ):
                provision(endpoint, TEMPLATE, [], {})
            server.shutdown()


class TestEmbedded:
    @pytest.mark.parametrize("name", engines.ENGINES)
    def test_tables_and_users_are_as_boto3_finds_them_and_a_second_time_changes_nothing(self, name):
        with engines.served(name) as endpoint:
            client = engines.client(endpoint)
            for _ in range(2):
                provision_embedded(endpoint, TEMPLATE, ["alice"])
            for table in TEMPLATE.tables:
                found = client.describe_table(TableName=table.name)["Table"]
                assert found["TableStatus"] == "ACTIVE"
                assert found["KeySchema"] == table.definition["KeySchema"]
                time_to_live = client.describe_time_to_live(TableName=table.name)["TimeToLiveDescription"]
                assert time_to_live.get("AttributeName") == table.ttl_attribute
            item = client.get_item(TableName="UsersTable", Key={"userId": {"S": "alice"}})["Item"]
            assert item["name"] == {"S": "alice"}

    @pytest.mark.parametrize("name", engines.ENGINES)
    def test_a_table_that_is_refused_is_told_without_the_address(self, name):
        table = TEMPLATE.tables[0]
        wrong = replace(table, definition={**table.definition, "AttributeDefinitions": []})
        with engines.served(name) as endpoint, pytest.raises(StartError) as refusal:
            provision_embedded(endpoint, replace(TEMPLATE, tables=(wrong,)), [])
        assert "ValidationException" in str(refusal.value)
        assert endpoint not in str(refusal.value)

    def test_a_method_is_the_operation_of_that_name(self, monkeypatch):
        calls = []
        monkeypatch.setattr(PlainClient, "_call", lambda _, *called: calls.append(called))
        PlainClient("http://127.0.0.1:1").update_time_to_live(TableName="rows")
        assert calls == [("UpdateTimeToLive", {"TableName": "rows"})]

    def test_no_answer_is_told(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(StartError, match="does not answer"):
            provision_embedded(endpoint, TEMPLATE, [])
