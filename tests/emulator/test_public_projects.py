"""Projects in the shapes of public ones, as their tools leave them: the emulator starts in their folder, unmodified.

Those of SAM, CloudFormation and the CDK are in test_any_template.py, those in Node in test_languages.py too.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from parley.emulator import packages

from tests.support import npm
from tests.support.devices import Emulator
from tests.support.plain_client import PlainClient
from tests.support.projects import TEMPLATES, zipped
from tests.support.waiting import until

SDK = Path(__file__).with_name("javascript")
"""A folder whose `node_modules` have the AWS SDK."""

BUNDLED = TEMPLATES / "habits" / "bundled" / "requirements.txt"


def started(folder: Path, **variables: str) -> Iterator[Emulator]:
    """Start the emulator in a folder, with functions that have what they have on AWS, and roles that count."""
    emulator = Emulator(folder, PARLEY_PYTHON="", PARLEY_IAM="enforce", **variables)
    yield emulator
    emulator.stop()


def said(emulator: Emulator, text: str) -> list[str]:
    """Return the lines with a text."""
    return [line for line in emulator.output if text in line]


@pytest.fixture(scope="module")
def serverless(tmp_path_factory) -> Iterator[Emulator]:
    """A project after `serverless package`: its template, which says that the code is in S3, and the zip beside it."""
    npm.install(SDK)
    folder = tmp_path_factory.mktemp("serverless")
    (folder / "serverless.yml").write_text("service: room\n")
    shutil.copytree(TEMPLATES / "serverless", folder / ".serverless", ignore=shutil.ignore_patterns("service"))
    libraries = shutil.copytree(SDK / "node_modules", folder / "libraries" / "node_modules", symlinks=True)
    zipped(folder / ".serverless" / "room.zip", TEMPLATES / "serverless" / "service", libraries.parent)
    yield from started(folder)


def test_of_serverless_the_zip_is_used_although_the_template_says_s3(serverless):
    ask = PlainClient(serverless, "/dev").ask
    assert ask('{"action": "say", "text": "hi"}') == "dev: hi"
    assert json.loads(ask("hello"))["message"] == "Forbidden"
    assert serverless.missing() == []


def test_of_serverless_the_template_is_found_and_named(serverless):
    [line] = said(serverless, "  Template")
    assert ".serverless/cloudformation-template-update-stack.json" in line


@pytest.fixture(scope="module")
def chalice(tmp_path_factory) -> Iterator[Emulator]:
    """A project after `chalice package packaged`."""
    folder = tmp_path_factory.mktemp("chalice")
    zipped(folder / "packaged" / "deployment.zip", TEMPLATES / "chalice" / "code")
    shutil.copy(TEMPLATES / "chalice" / "sam.json", folder / "packaged")
    yield from started(folder, PARLEY_TEMPLATE="packaged")


def test_of_chalice_the_zip_runs_and_posts_by_the_host_that_it_composes(chalice):
    assert PlainClient(chalice, "/api").ask("anything") == "said anything"
    assert chalice.missing() == []


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    return Path(shutil.copytree(TEMPLATES / "habits", tmp_path_factory.mktemp("habits") / "project"))


@pytest.fixture(scope="module")
def unbundled(project) -> str | None:
    """Put the packages that a function's list names beside its handler. Return None, or why that cannot be done."""
    try:
        found = packages.installed(BUNDLED, sys.executable, os.environ)
    except packages.NotInstallable as error:
        return str(error)
    shutil.copytree(found, project / "bundled", dirs_exist_ok=True)
    return None


@pytest.fixture(scope="module")
def habits(project, unbundled) -> Iterator[Emulator]:
    yield from started(project)


@pytest.fixture
def client(habits) -> Iterator[PlainClient]:
    """A client of an API whose functions are beside the template: they have no CodeUri.

    The authorizer's identity source is a header that the gateway adds, and its answer has no principalId. `$connect`
    returns {}. If one of these were refused, no connection would open.
    """
    client = PlainClient(habits, "/live")
    yield client
    client.socket.close()


def test_an_answer_with_the_keys_of_a_post_is_an_error_as_on_aws(client):
    assert json.loads(client.ask('{"action": "wrapped"}'))["message"] == "Internal server error"


def test_a_custom_domain_name_in_a_variable_leads_here(habits, client):
    assert client.ask('{"action": "public"}') == "by the domain name"
    assert "ignored" not in "".join(habits.output)


def test_a_bundle_keeps_its_own_urllib3_and_the_sdk_works_with_it(unbundled, client):
    if unbundled:
        pytest.skip(f"requests 2.28 cannot be installed: {unbundled}")
    assert client.ask('{"action": "bundled"}') == "requests 2.28.2, urllib3 1.26.20"


def test_a_library_that_was_built_for_another_python_is_named_with_the_next_step(habits, client):
    assert json.loads(client.ask('{"action": "built"}'))["message"] == "Internal server error"
    until(lambda: said(habits, "Function Built does not start"))
    [line] = said(habits, "Function Built does not start")
    assert "The code has it for Python 3.9 only (" in line
    assert "build it again for python3.11, or install that Python." in line
