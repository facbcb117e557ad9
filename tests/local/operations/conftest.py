"""An AWS account on loopback, and the access to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from parley.operations.access import Access

from tests.support.aws_account import Account, running


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with running() as account:
        for name, value in account.environment().items():
            monkeypatch.setenv(name, value)
        yield account


@pytest.fixture
def access(account: Account) -> Access:
    return Access.found()
