"""Quiet logs, and an emulator with a fault plan."""

import logging
import os
import sys
import tempfile
from pathlib import Path

import pytest

from tests.faults.users import USERS
from tests.support.devices import Emulator
from tests.support.unlimited import UNLIMITED


@pytest.fixture(autouse=True)
def quiet():
    """Switch logging off: a simulated world logs too much."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="package")
def emulator():
    """An emulator with an empty fault plan. Retries come sooner than AWS's minute, but later than a lease ends."""
    plan = Path(tempfile.mkdtemp()) / "plan.json"
    plan.write_text("{}")
    variables = {"PARLEY_DYNAMODB": os.environ["PARLEY_TEST_DYNAMODB"]} if "PARLEY_TEST_DYNAMODB" in os.environ else {}
    emulator = Emulator(
        PARLEY_FAULTS=str(plan),
        PARLEY_USERS=",".join(f"user{number}" for number in range(USERS)),
        PARLEY_RETRY_DELAY="16",
        PARLEY_ENVIRONMENTS="40",
        PARLEY_TOKENS_PER_SECOND="200",
        # Longer than a busy machine takes for a token or for a join, and no longer than a test likes to wait.
        OPENAI_FIRST_TOKEN_SECONDS="10",
        OPENAI_TOKEN_SECONDS="8",
        ANONYMOUS_SECONDS="600",
        CHAT_LANGUAGE="en",
        REASONING="stored",
        # Replies as long as a test asks for: one must not end by itself before the test has done what it came for.
        MAX_COMPLETION_TOKENS="1000000",
        **UNLIMITED,
        **variables,
    )
    yield emulator
    missing = emulator.missing()
    emulator.stop()
    if sys.exc_info()[0]:
        print("".join(emulator.output[-200:]))
    assert missing == []
