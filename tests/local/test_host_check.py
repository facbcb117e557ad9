"""Foreign pages do not reach the emulator's endpoints for functions and developers."""

import pytest
from parley.host_check import is_this_machine


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
