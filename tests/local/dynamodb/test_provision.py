"""The errors for a DynamoDB elsewhere, which the emulator puts the template's tables into."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from parley.dynamodb.provision import provision
from parley.errors import StartError
from parley.template.reader import read

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
