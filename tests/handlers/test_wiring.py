"""The composition root: parts are built when they are used, once, and a test's own take their place."""

import subprocess
import sys
from pathlib import Path

import pytest

from handlers.wiring import Wiring
from tests.support.management_api import ManagementApiServer, failing
from tests.support.runtime import FakeRuntime
from tests.support.wiring import wiring

ROOT = Path(__file__).parents[2]


def test_nothing_is_loaded_until_a_part_is_used():
    code = "import sys; from handlers.wiring import Wiring; Wiring({}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"boto3", "botocore", "pynamodb", "pydantic", "jwt", "openai", "fastapi"} & set(done.stdout.split())


def test_a_part_is_built_once():
    wired = wiring()
    assert wired.connections is wired.connections
    assert wired.commands is wired.commands


def test_a_fake_is_used_by_everything_that_is_built_after_it(store):
    gateway, functions = object(), object()
    wired = wiring(gateway=gateway, functions=functions)
    assert (wired.connections.gateway, wired.performer.functions) == (gateway, functions)


def test_the_files_of_assistants_are_loaded_with_the_settings_where_they_are_needed():
    [default, *_] = Wiring({}, has_assistants=True).settings.assistants
    assert (default.id, default.title_in("en")) == ("default", "Assistant")
    assert [each.title for each in Wiring({}).settings.assistants] == [""], "the plain one, without its file"


def test_a_part_that_does_not_exist_cannot_be_built():
    with pytest.raises(AttributeError, match="gatway"):
        Wiring({}).build("gatway")


@pytest.mark.parametrize(("throttled", "reached"), [(7, True), (8, False)])
def test_a_throttled_post_of_a_broadcast_is_tried_eight_times(store, monkeypatch, throttled, reached):
    server, pauses = ManagementApiServer(), []
    server.answers.extend([failing(429, "LimitExceededException")] * throttled)
    monkeypatch.setenv("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI", server.url)
    wired = wiring(runtime=FakeRuntime(sleep=pauses.append))
    assert wired.deliverer.patient_connections.post_or_forget("c1=", b"{}") is reached
    assert (len(server.requests), len(pauses)) == (8, 7)
    assert 3.5 <= sum(pauses) <= 7.2
    server.shutdown()
    server.server_close()
