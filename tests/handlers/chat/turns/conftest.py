"""A client with one connection, and a chat of alice's."""

import pytest

from handlers.chat.records import Chat
from tests.support.command_client import NOON, CommandClient


@pytest.fixture
def client(store):
    return CommandClient(store, "c1=")


@pytest.fixture
def chat(store):
    return store.chats.add(Chat("alice", "chat"), NOON)
