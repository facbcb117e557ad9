"""Requests for the path of a WebSocket stage that ask for no upgrade."""

import pytest
from parley.emulator.options import Address
from parley.gateway.assumptions import Assumptions

from tests.support.ready_emulator import ReadyEmulator


@pytest.fixture
def asks(tmp_path):
    """Send a request to an emulator that also has an HTTP API with one route; return the start of the answer."""

    async def asks(path, method="GET", key="", **options):
        web = f"""
            Web: {{Type: AWS::ApiGatewayV2::Api, Properties: {{Name: web, ProtocolType: HTTP}}}}
            Route: {{Type: AWS::ApiGatewayV2::Route, Properties: {{ApiId: !Ref Web, RouteKey: "{key}"}}}}
        """
        emulator = ReadyEmulator(tmp_path, Address(), resources=web if key else "", **options)
        start, body = await emulator.ask("http", path, (b"Host", b"h"), method=method, http_version="1.1")
        return start["status"], dict(start["headers"]), body["body"]

    return asks


@pytest.mark.parametrize("path", ["/live", "/live/", "/ws/chat"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("key", ["", "$default", "ANY /{proxy+}", "GET /other", "POST /live"])
async def test_a_get_is_told_to_upgrade_whatever_an_http_api_takes_besides(asks, path, method, key):
    status, headers, body = await asks(path, method, key)
    assert (status, body) == (426, b'{"message": "Upgrade Required"}')
    assert (headers[b"upgrade"], headers[b"connection"]) == (b"websocket", b"upgrade")


@pytest.mark.parametrize("key", ["GET /live", "ANY /live", "GET /{word}"])
async def test_an_http_api_keeps_its_named_paths(asks, key):
    assert (await asks("/live", key=key))[0] == 500  # the route has no function, and answers


@pytest.mark.parametrize(("path", "method"), [("/live/more", "GET"), ("/other", "GET"), ("/live", "POST")])
async def test_other_requests_find_nothing(asks, path, method):
    assert (await asks(path, method))[0] == 404


async def test_by_the_switch_it_is_forbidden(asks):
    answer = await asks("/live", assumptions=Assumptions(plain_request="403"))
    assert (answer[0], answer[2]) == (403, b'{"message": "Forbidden"}')
