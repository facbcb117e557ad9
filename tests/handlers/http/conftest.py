"""The API's users, and the invocations of other functions by the API."""

from datetime import UTC, datetime

import pytest

from handlers.chat.records import User
from tests.support.http_api import Invocations, services
from tests.support.recording_gateway import RecordingGateway
from tests.support.runtime import FakeRuntime

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def invocations(store):
    invocations = Invocations()
    gateway = RecordingGateway()
    with services(functions=invocations, gateway=gateway, runtime=FakeRuntime(NOON)):
        invocations.gateway = gateway
        yield invocations


@pytest.fixture(autouse=True)
def people(store, invocations):
    store.users.add(User("root", "Root", frozenset({"admin"}), created_at=NOON))
