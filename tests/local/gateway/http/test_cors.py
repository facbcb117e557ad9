"""Pages of this machine may use an HTTP API, unless the API says itself who may."""

import pytest
from parley.gateway.http.cors import SharedWithPages

from tests.support.http_gateway import HttpGatewayClient

PAGE = "http://localhost:5173"
ASKED = {"access_control_request_method": "PATCH", "access_control_request_headers": "authorization,content-type"}


@pytest.fixture
def client():
    client = HttpGatewayClient("GET /things")
    client.gateway = SharedWithPages(client.gateway, lambda origin: origin == PAGE)
    return client


def leave(headers):
    """Return the headers that give leave."""
    return {name: value for name, value in headers if name.startswith("access-control-")}


def test_a_page_of_this_machine_reads_the_answer(client):
    client.answer = {"statusCode": 200, "headers": {"x-colour": "red"}, "body": "{}"}
    status, headers, body = client.get("/things", origin=PAGE)
    assert (status, body) == (200, b"{}")
    assert leave(headers) == {"access-control-allow-origin": PAGE, "access-control-expose-headers": "*"}
    assert ("vary", "Origin") in headers
    assert ("x-colour", "red") in headers


@pytest.mark.parametrize("status", [404, 500])
def test_it_reads_refusals_too(client, status):
    client.answer = {"statusCode": status}
    found, headers, _ = client.get("/things", origin=PAGE)
    assert (found, leave(headers)["access-control-allow-origin"]) == (status, PAGE)


@pytest.mark.parametrize("sent", [{}, {"origin": "https://evil.example"}, {"origin": "null"}])
def test_another_page_gets_what_the_function_says_and_no_more(client, sent):
    status, headers, _ = client.get("/things", **sent)
    assert (status, leave(headers)) == (200, {})
    status, headers, _ = client.get("/things", "OPTIONS", **sent, **ASKED)
    assert (status, leave(headers)) == (404, {})


def test_a_preflight_is_answered_where_no_route_is(client):
    status, headers, body = client.get("/things", "OPTIONS", origin=PAGE, **ASKED)
    assert (status, body) == (204, b"")
    assert leave(headers) == {
        "access-control-allow-origin": PAGE,
        "access-control-allow-methods": "PATCH",
        "access-control-allow-headers": "authorization,content-type",
    }
    assert "content-length" not in dict(headers)


def test_options_without_a_question_is_a_plain_request(client):
    assert client.get("/things", "OPTIONS", origin=PAGE)[0] == 404


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_what_the_function_says_itself_stands(method):
    client = HttpGatewayClient()
    client.gateway = SharedWithPages(client.gateway, lambda origin: True)
    said = {"access-control-allow-origin": "https://chat.example", "access-control-allow-methods": "GET"}
    client.answer = {"statusCode": 200, "headers": said, "body": "mine"}
    status, headers, body = client.get("/", method, origin=PAGE, **ASKED)
    assert (status, leave(headers), body) == (200, said, b"mine")


def test_a_function_that_answers_a_preflight_without_leave_is_asked_and_overruled():
    client = HttpGatewayClient()
    client.gateway = SharedWithPages(client.gateway, lambda origin: True)
    client.answer = {"statusCode": 405, "body": "no"}
    status, headers, body = client.get("/", "OPTIONS", origin=PAGE, **ASKED)
    assert (status, body, len(client.events)) == (204, b"", 1)
    assert leave(headers)["access-control-allow-origin"] == PAGE
