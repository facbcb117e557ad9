"""Foreign pages do not reach the emulator's endpoints for functions and developers."""

import pytest
from parley.host_check import comes_from_a_foreign_page, is_this_machine


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
