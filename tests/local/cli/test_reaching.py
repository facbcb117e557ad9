"""The arguments of the commands that reach into a running emulator."""

import pytest
from click.testing import CliRunner
from parley.cli import calling
from parley.cli.main import main


@pytest.fixture
def asked(monkeypatch):
    """The calls of an emulator that answers each of them."""
    asked = []
    for name in ("post", "close"):
        monkeypatch.setattr(
            calling.RunningEmulator, name, lambda self, *given, name=name: asked.append((self.port, name, *given))
        )
    return asked


@pytest.mark.parametrize(
    "connection_id", ["hjULFMA0LCs_AnI=", "-jULFMA0LCs_AnI=", "-hULFMA0LCs_AnI=", "--port-0LCs_AnI="]
)
def test_an_id_that_begins_with_a_hyphen_is_no_option(asked, connection_id):
    for arguments in (["post", connection_id, "x", "--port", "9"], ["close", "--port", "9", connection_id]):
        assert CliRunner().invoke(main, arguments).exit_code == 0
    assert asked == [(9, "post", connection_id, "x"), (9, "close", connection_id)]


def test_an_event_in_a_file_that_there_is_not_is_one_message():
    done = CliRunner().invoke(main, ["invoke", "Work", "@no/such/file"])
    assert done.exit_code == 1
    assert done.output.startswith("parley: The event in no/such/file cannot be read:")
