"""Requests for the hosts of APIs on AWS get the path at which the emulator serves the API."""

from __future__ import annotations

from dataclasses import replace

import pytest
from parley.emulator.hosts import Hosts, custom_domains, prefixes, with_own_path
from parley.template.model import HttpApi, Stage, Template, WebSocketApi

SOCKETS = [WebSocketApi(name, id_, (Stage("main"),), "", {}) for name, id_ in (("One", "a" * 10), ("Two", "b" * 10))]
PAGES = [HttpApi(name, id_, "$default", ()) for name, id_ in (("Web", "c" * 10), ("More", "d" * 10))]


@pytest.mark.parametrize(
    ("sockets", "host", "path"),
    [
        (2, b"aaaaaaaaaa.execute-api.us-east-1.amazonaws.com", "/One/x"),
        (2, b"BBBBBBBBBB.execute-api.eu-west-1.amazonaws.com:443", "/Two/x"),
        (1, b"aaaaaaaaaa.execute-api.us-east-1.amazonaws.com", "/x"),
        (2, b"cccccccccc.execute-api.us-east-1.amazonaws.com", "/x"),
        (2, b"dddddddddd.execute-api.us-east-1.amazonaws.com", "/More/x"),
        (2, b"eeeeeeeeee.execute-api.us-east-1.amazonaws.com", "/x"),
        (2, b"dddddddddd.lambda-url.us-east-1.on.aws", "/More/x"),
        (2, b"127.0.0.1:8000", "/x"),
        (2, b"\xff", "/x"),
    ],
)
def test_the_path_is_that_of_the_api(sockets, host, path):
    found = prefixes(Template({}, tuple(SOCKETS[:sockets]), tuple(PAGES), ()))
    scope = {"type": "http", "path": "/x", "raw_path": b"/x", "headers": [(b"Host", host)]}
    assert with_own_path(scope, found) == {**scope, "path": path}


def test_a_request_without_a_host_keeps_its_path():
    scope = {"type": "http", "path": "/x", "raw_path": b"/x", "headers": []}
    assert with_own_path(scope, {"a": "/A"}) is scope


@pytest.mark.parametrize(
    ("value", "here"),
    [
        ("https://ws.example.com", "https://127.0.0.1:8000/One/live"),
        ("wss://WS.example.com/?token=x", "wss://127.0.0.1:8000/One/live/?token=x"),
        ("https://ws.example.com/chat/@connections", "https://127.0.0.1:8000/Two/main/@connections"),
        ("https://ws.example.com/chatter", "https://127.0.0.1:8000/One/live/chatter"),
        ("https://ws.example.com. Or ask.", "https://127.0.0.1:8000/One/live. Or ask."),
        ("https://ws.example.com:8443", "https://ws.example.com:8443"),
        ("https://ws.example.com.au", "https://ws.example.com.au"),
        ("https://news.example.com", "https://news.example.com"),
        ("ws.example.com", "127.0.0.1:8000/One/live"),
        ("help@ws.example.com", "help@ws.example.com"),
    ],
)
def test_a_custom_domain_name_in_a_url_becomes_the_place_of_its_stage(value, here):
    stages = (Stage("live", domains=("ws.example.com",)), Stage("other"))
    one, two = SOCKETS[0], SOCKETS[1]
    apis = [replace(one, stages=stages), replace(two, stages=(Stage("main", domains=("ws.example.com/chat",)),))]
    paths = prefixes(Template({}, tuple(apis), (), ()))
    assert Hosts("http://127.0.0.1:8000", paths, custom_domains(apis, paths)).localised(value) == here
