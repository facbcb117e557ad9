"""Requests to this machine never go through a proxy, whichever library sends them and whatever the shell says."""

import urllib.request

import httpx2
import pytest
from botocore.utils import get_environ_proxies
from parley import proxies
from websockets.proxy import get_proxy
from websockets.uri import parse_uri

PROXY = "http://127.0.0.1:9"
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def by_urllib(url):
    host = urllib.request.Request(url.replace("ws", "http", 1)).host
    return None if urllib.request.proxy_bypass(host) else urllib.request.getproxies().get("http")


def by_boto3(url):
    return get_environ_proxies(url.replace("ws", "http", 1)).get("http")


def by_httpx(url):
    # Certificates would take a tenth of a second, and no request is made.
    client = httpx2.Client(verify=False)
    transport = client._transport_for_url(httpx2.URL(url.replace("ws", "http", 1)))
    return None if transport is client._transport else PROXY


def by_websockets(url):
    return get_proxy(parse_uri(url))


@pytest.fixture(
    params=[
        {},
        {"no_proxy": "internal.example"},
        {"NO_PROXY": "internal.example"},
        {"no_proxy": "", "NO_PROXY": "a, b"},
    ],
    ids=str,
)
def behind_a_proxy(request, monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in PROXIES:
        monkeypatch.setenv(name, PROXY)
    for name, value in request.param.items():
        monkeypatch.setenv(name, value)
    environ = dict.fromkeys(PROXIES, PROXY) | request.param
    proxies.exempt(environ, "192.168.1.5")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("proxy_for", [by_urllib, by_boto3, by_httpx, by_websockets])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "192.168.1.5"])
def test_this_machine_needs_no_proxy_and_others_keep_theirs(behind_a_proxy, proxy_for, host):
    assert proxy_for(f"ws://{host}:8000/live") is None
    assert proxy_for("ws://model.example/v1") is not None


@pytest.mark.parametrize("given", ["", "a.example", " a.example , b ", "127.0.0.1", "*", "a,*"])
def test_what_was_exempt_stays_so_and_twice_is_as_once(given):
    environ = {"NO_PROXY": given}
    proxies.exempt(environ)
    once = dict(environ)
    proxies.exempt(environ)
    assert environ == once
    assert environ["no_proxy"] == environ["NO_PROXY"]
    assert {each.strip() for each in given.split(",")} - {""} <= set(environ["NO_PROXY"].split(","))
    assert len(environ["NO_PROXY"].split(",")) == len(set(environ["NO_PROXY"].split(",")))


@pytest.mark.parametrize(
    ("name", "is_one"), [("HTTPS_PROXY", True), ("http_proxy", True), ("NO_PROXY", False), ("A", False)]
)
def test_variables_for_proxies_are_known(name, is_one):
    assert proxies.names_a_proxy({name: ""}) is is_one
