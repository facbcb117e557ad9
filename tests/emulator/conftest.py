"""Conformance tests: their target (`--target`), and the facts they hold: `@pytest.mark.fact(NUMBER, source=…)`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus, WebSocketException

from tests.emulator.conformance.deployment import SECONDS, ConformanceClient, ConformanceStack, Connect
from tests.support.lambda_service import serve as serve


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--target", metavar="WSS_URL", help="The conformance stack's output Target: test AWS itself.")
    parser.addoption("--slow", action="store_true", help="Also run what takes minutes: 29 s, 10 minutes, 2 hours.")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "fact(*keys, source): the facts (facts.py) that a test holds, on whose word.")
    config.addinivalue_line("markers", "slow(duration): runs with --slow only.")
    config.addinivalue_line("markers", "here(reason): cannot be forced on AWS, and why.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--target", None):
        conformance = [item for item in items if _is_conformance(item)]
        config.hook.pytest_deselected(items=[item for item in items if not _is_conformance(item)])
        items[:] = conformance
        for item in items:
            if reason := _reason_against_aws(item):
                item.add_marker(pytest.mark.skip(reason))
    if not config.getoption("--slow", False):
        for item in items:
            if mark := item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(f"takes {mark.args[0]}: --slow runs it"))


def _is_conformance(item: pytest.Item) -> bool:
    """Tell whether a test is about AWS's behaviour, and not about a part of the emulator."""
    return bool(item.get_closest_marker("fact")) or "deployment" in getattr(item, "fixturenames", ())


def _reason_against_aws(item: pytest.Item) -> str | None:
    """Return why a test has nothing to say about a deployment on AWS."""
    if mark := item.get_closest_marker("here"):
        return str(mark.args[0])
    return None if "deployment" in getattr(item, "fixturenames", ()) else "looks into the emulator"


@pytest.fixture(scope="package")
def deployment(request: pytest.FixtureRequest) -> Iterator[ConformanceStack]:
    """The conformance template: on AWS with `--target`, else in an emulator of its own."""
    target = request.config.getoption("--target", None)
    deployment = _on_aws(target) if target else ConformanceStack.here()
    yield deployment
    deployment.stop()


def _on_aws(url: str) -> ConformanceStack:
    try:
        return ConformanceStack.on_aws(url)
    except (OSError, WebSocketException, KeyError, ValueError) as error:
        why = f"No conformance stack answers at {url}: {error!r}. Give --target the stack's output Target."
        pytest.exit(why, pytest.ExitCode.USAGE_ERROR)


@pytest.fixture
def connect(deployment: ConformanceStack) -> Iterator[Connect]:
    """Opens connections of the deployment, and closes them at the end of the test."""
    yield from _connecting(deployment)


def _connecting(deployment: ConformanceStack) -> Iterator[Connect]:
    clients: list[ConformanceClient] = []

    def connected(*arguments: Any, **options: Any) -> ConformanceClient:
        clients.append(deployment.connect(*arguments, **options))
        return clients[-1]

    yield connected
    for client in clients:
        client.leave()


@pytest.fixture(scope="package")
def short_lived() -> Iterator[ConformanceStack]:
    """An emulator in which connections live for seconds, and failed invocations are retried at once."""
    deployment = ConformanceStack.here(
        PARLEY_IDLE_TIMEOUT="4", PARLEY_CONNECTION_LIMIT="10", PARLEY_RETRY_DELAY="0", PARLEY_ENVIRONMENTS="3"
    )
    yield deployment
    deployment.stop()


@pytest.fixture
def connect_short_lived(short_lived: ConformanceStack) -> Iterator[Connect]:
    """Opens connections that live for seconds."""
    yield from _connecting(short_lived)


@pytest.fixture
def throttled(connect: Connect) -> Callable[[], tuple[ConformanceClient, InvalidStatus | None]]:
    """Opens a connection of the stage with one request a second; also returns how one before it was refused, if so."""

    def connected() -> tuple[ConformanceClient, InvalidStatus | None]:
        deadline, refused = time.monotonic() + SECONDS, None
        while True:
            try:
                return connect("throttled"), refused
            except InvalidStatus as refusal:
                refused = refusal
                assert time.monotonic() < deadline, "the stage lets nobody in"
                time.sleep(0.2)

    return connected
