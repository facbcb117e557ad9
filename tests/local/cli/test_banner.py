"""The hint of the banner names the command as it was called."""

import sys

import pytest
from parley.cli import banner
from parley.emulator.options import Address, Options


@pytest.mark.parametrize(
    ("called", "on_the_path", "shown"),
    [
        (".venv/bin/parley", None, ".venv/bin/parley"),
        ("/opt/venv/bin/parley", "/usr/bin/parley", "/opt/venv/bin/parley"),
        ("/opt/venv/bin/parley", "/opt/venv/bin/parley", "parley"),
    ],
)
def test_it_is_short_only_if_the_shell_finds_this_very_program(monkeypatch, called, on_the_path, shown):
    monkeypatch.setattr(sys, "argv", [called, "up"])
    monkeypatch.setattr(banner.shutil, "which", lambda name: on_the_path)
    assert banner._command() == shown


@pytest.mark.parametrize(("port", "shown"), [(8000, ""), (8001, " --port 8001")])
def test_it_names_a_port_that_the_command_does_not_take_by_itself(port, shown):
    [*_, hint] = banner._users(Options(address=Address(port=port)), "a secret of at least thirty-two bytes")
    assert hint.endswith(f"chat --user alice{shown}")
