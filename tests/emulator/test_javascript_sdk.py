"""The @connections API, called by the AWS SDK for JavaScript v3 (docs/aws.md section 5)."""

from pathlib import Path

import pytest
from parley.gateway.quotas import MAX_MESSAGE_BYTES, Quotas

from tests.emulator.facts import MODEL
from tests.support import npm
from tests.support.gateway import GatewayStage
from tests.support.http_server import http_server

FOLDER = Path(__file__).with_name("javascript")
NEVER = "AAAAAAAAAAAAAAA="

pytestmark = [
    pytest.mark.here("calls with a key of its own"),
    pytest.mark.fact("connections.javascript", source=MODEL),
]


@pytest.fixture(scope="module")
def sdk():
    """Makes calls with the SDK, which is installed once; returns what each came to."""
    npm.install(FOLDER)
    return lambda endpoint, *calls: npm.run(FOLDER / "connections.mjs", {"endpoint": endpoint, "calls": calls})


@pytest.fixture
def endpoint(deployment):
    return f"{deployment.emulator.url}/main"


def failed(status, name):
    return {"status": status, "name": name, "isOfItsType": True}


def test_its_errors_are_the_sdks_own_types(sdk, endpoint, connect):
    connection_id = connect().connection_id()
    large = "78" * (MAX_MESSAGE_BYTES + 1)
    outcomes = sdk(
        endpoint,
        ["PostToConnection", {"ConnectionId": NEVER, "Data": "78"}],
        ["GetConnection", {"ConnectionId": NEVER}],
        ["DeleteConnection", {"ConnectionId": NEVER}],
        ["PostToConnection", {"ConnectionId": connection_id, "Data": large}],
    )
    assert outcomes == [failed(410, "GoneException")] * 3 + [failed(413, "PayloadTooLargeException")]


def test_an_id_of_the_wrong_form_is_a_bad_request(sdk, endpoint):
    [outcome] = sdk(endpoint, ["PostToConnection", {"ConnectionId": "not-an-id", "Data": "78"}])
    assert (outcome["status"], outcome["name"]) == (400, "BadRequestException")


def test_another_stage_is_forbidden(sdk, endpoint):
    other = endpoint.replace("/main", "/other")
    assert sdk(other, ["GetConnection", {"ConnectionId": NEVER}]) == [failed(403, "ForbiddenException")]


def test_over_the_accounts_rate_the_limit_is_exceeded(sdk):
    with http_server(GatewayStage({}, quotas=Quotas(requests=0, burst=0))) as url:
        [outcome] = sdk(url, ["PostToConnection", {"ConnectionId": NEVER, "Data": "78"}])
    assert outcome == failed(429, "LimitExceededException")


def test_it_posts_describes_and_deletes(sdk, endpoint, connect):
    client = connect("main", user_agent_header="a test")
    connection_id = client.connection_id()
    posted, described, deleted, gone = sdk(
        endpoint,
        ["PostToConnection", {"ConnectionId": connection_id, "Data": "ü".encode().hex()}],
        ["GetConnection", {"ConnectionId": connection_id}],
        ["DeleteConnection", {"ConnectionId": connection_id}],
        ["GetConnection", {"ConnectionId": connection_id}],
    )
    assert (posted["status"], described["status"], deleted["status"]) == (200, 200, 204)
    assert described["answer"]["Identity"] == {"SourceIp": "127.0.0.1", "UserAgent": "a test"}
    assert set(described["moments"]) == {"ConnectedAt", "LastActiveAt"}
    assert gone == failed(410, "GoneException")
    assert client.receive() == "ü"
    assert client.end()[0] == 1000
