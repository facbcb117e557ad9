"""Foreign pages do not reach the emulator's endpoints for functions and developers."""

import pytest
from parley.host_check import (
    comes_from_a_foreign_page,
    comes_from_this_machine,
    is_loopback,
    is_this_machine,
    is_welcome_page,
)


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        *(("127.0.0.1:8000", True), ("localhost", True), ("[::1]:8000", True), ("192.168.7.9", True)),
        *(("api.localhost:8000", True), ("devbox:8000", True)),
        *(("evil.example.com", False), ("evil.example.com:8000", False), ("localhost.evil.com", False)),
        *(("", False), ("[", False), ("127.0.0.1.evil.com", False)),
    ],
)
def test_addresses_and_our_own_names_are_this_machine(host, is_ours):
    assert is_this_machine(host, "devbox") is is_ours


@pytest.mark.parametrize(
    ("headers", "is_foreign"),
    [
        ({}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": "same-origin"}, False),
        ({"origin": "http://127.0.0.1:8000"}, False),
        ({"origin": "https://127.0.0.1:8000", "sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "same-site"}, True),
        ({"sec-fetch-site": ""}, True),
        ({"origin": "https://evil.example.com"}, True),
        ({"origin": "http://127.0.0.1:5173"}, True),
        ({"origin": "null"}, True),
        ({"origin": ""}, True),
        ({"origin": "https://evil.example.com", "sec-fetch-site": "same-origin"}, True),
    ],
)
def test_a_page_that_is_not_the_emulators_own_is_foreign(headers, is_foreign):
    assert comes_from_a_foreign_page({"host": "127.0.0.1:8000"} | headers) is is_foreign


@pytest.mark.parametrize(
    ("client", "server", "is_ours"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.5", "127.0.0.1", True),
        ("::1", "::1", True),
        ("192.168.7.9", "192.168.7.9", True),
        ("fe80::7%eth0", "fe80::7%eth0", True),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1", True),
        ("::ffff:192.168.7.9", "192.168.7.9", True),
        ("192.168.7.8", "192.168.7.9", False),
        ("172.17.0.1", "172.17.0.2", False),
        ("::ffff:192.168.7.8", "::ffff:192.168.7.9", False),
        ("2001:db8::1", "2001:db8::2", False),
    ],
)
def test_a_connection_from_this_machine_has_a_loopback_address_or_the_servers_own(client, server, is_ours):
    assert comes_from_this_machine((client, 50_000), (server, 8000)) is is_ours


def test_without_addresses_a_connection_is_not_from_here():
    assert not comes_from_this_machine(None, ("127.0.0.1", 8000))


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        *(("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True), ("LOCALHOST", True)),
        *(("0.0.0.0", False), ("::", False), ("192.168.7.9", False), ("devbox", False), ("", False)),
    ],
)
def test_a_loopback_address_is_reached_by_this_machine_only(host, is_ours):
    assert is_loopback(host) is is_ours


@pytest.mark.parametrize(
    ("origin", "allowed", "is_welcome"),
    [
        *((origin, set(), True) for origin in ("http://localhost", "http://localhost:5173", "https://127.0.0.1:8443")),
        *((origin, set(), True) for origin in ("http://[::1]:3000", "http://app.localhost:3000", "http://127.9.9.9")),
        *((origin, set(), True) for origin in ("capacitor://localhost", "http://LOCALHOST")),
        *((origin, set(), False) for origin in ("https://evil.example", "http://localhost.evil.example", "null", "")),
        *(
            (origin, set(), False)
            for origin in ("http://127.0.0.1.nip.io", "http://evil.example#localhost", "http://[")
        ),
        *(
            (origin, set(), False)
            for origin in ("http://192.168.7.9:5173", "https://localhost@evil.example", "file://")
        ),
        ("https://chat.example", {"https://chat.example"}, True),
        ("https://chat.example:8443", {"https://chat.example"}, False),
        ("http://chat.example", {"https://chat.example"}, False),
        ("null", {"null"}, True),
        ("https://evil.example", {"*"}, True),
    ],
)
def test_pages_of_this_machine_and_named_ones_are_welcome(origin, allowed, is_welcome):
    assert is_welcome_page(origin, allowed) is is_welcome
