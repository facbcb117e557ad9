"""A server that the terminal client talks to."""

import pytest

from tests.support.chat_server import ChatServer


@pytest.fixture
def server():
    return ChatServer()
