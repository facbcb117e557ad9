"""The environment variables of the functions, set before any test module is imported."""

import gc
import os
import signal
import sys

# Before anything of boto3 is imported, whichever test is collected first: clients and tables are made at import, and
# must find a region, the template's names, and no real account.
os.environ.update(
    AWS_ACCESS_KEY_ID="testing",
    AWS_SECRET_ACCESS_KEY="testing",
    AWS_REGION="us-east-1",
    AWS_DEFAULT_REGION="us-east-1",
    POWERTOOLS_SERVICE_NAME="parley",
    JWT_SECRET="a secret of at least thirty-two bytes",
    GENERATE_FUNCTION="GenerateFunction",
    DELIVER_FUNCTION="DeliverFunction",
    ERASE_FUNCTION="EraseFunction",
    USERS_TABLE="UsersTable",
    CONNECTIONS_TABLE="ConnectionsTable",
    CHATS_TABLE="ChatsTable",
    MESSAGES_TABLE="MessagesTable",
    OPENAI_API_KEY="none",
    AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI="https://execute-api.us-east-1.amazonaws.com",
)
os.environ.pop("AWS_ENDPOINT_URL_DYNAMODB", None)
if "PARLEY_TEST_DYNAMODB" in os.environ:
    # moto lets pass what goes to no address of AWS's.
    os.environ["AWS_ENDPOINT_URL_DYNAMODB"] = os.environ["PARLEY_TEST_DYNAMODB"]

from collections.abc import Generator, Iterator
from typing import Any

import hypothesis
import moto.core  # noqa: F401 - before botocore makes a client, or it will not intercept that one
import pytest

from tests.emulator.fact_report import FactReport
from tests.support import contract, log_check
from tests.support.devices import Emulator
from tests.support.scheduling import ByFile

# Hypothesis measures time too: by default an example that takes 200 ms fails. On a busy machine any may.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


def pytest_configure(config: pytest.Config) -> None:
    # Here and not in tests/emulator: with several workers the summary is written by a process that collects nothing.
    config.pluginmanager.register(FactReport())
    # A shell starts background jobs with Ctrl-C ignored, and the processes that tests interrupt would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Python's collector looks at the many objects of botocore and moto again and again: by default a sixth of the time.
    gc.set_threshold(50_000, 50, 100)


def pytest_collection_finish() -> None:
    # The modules stay until the end. No collection looks at them again, not even the last ones.
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the last lines of each emulator with a failure: often only they say why."""
    report = yield
    if report.failed:
        report.sections += [("emulator", "".join(lines[-30:])) for lines in Emulator.printed]
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """Fail a test if a frame in it broke the contract."""
    yield
    contract.check()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None, None, None]:
    """Fail a test if a frame broke the contract while its fixtures ended."""
    yield
    contract.check()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def objects_are_closed() -> Iterator[None]:
    """At the end of a run, close the files of moto's S3 objects: Python at its end cannot, and prints an error."""
    yield
    if models := sys.modules.get("moto.s3.models"):
        for account in list(models.s3_backends.values()):
            account.reset()


@pytest.fixture(scope="session", autouse=True)
def nothing_private_is_logged() -> Iterator[None]:
    """At the end of a run, look at everything that emulators have printed. Each worker looks at its own emulators."""
    yield
    log_check.check()
