"""The adapters of the JavaScript client, and an emulator whose assistant has tools for their tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from parley.dev_tokens import token

from tests.support.devices import ROOT, SECRET, Emulator
from tests.support.http_server import serving
from tests.support.waiting import HANGS

PACKAGE = ROOT / "clients" / "javascript"
TOOLS = '''
import threading

from handlers.chat.assistants import Assistant, ToolContext, tool


def light() -> dict[str, bool]:
    """Look whether the light is on."""
    return {"on": False}


@tool(needs_approval=True)
def switch(on: bool) -> str:
    """Switch the light."""
    return "on" if on else "off"


@tool(timeout=240)
def hang(context: ToolContext) -> str:
    """Wait until the call is cancelled."""
    context.cancelled.wait(240)
    return "cancelled"


assistant = Assistant(tools=(light, switch, hang))
'''


def start(folder: Path) -> Emulator:
    """Start an emulator of a copy of our project, in a folder, whose default assistant has the tools."""
    shutil.copytree(ROOT / "handlers", folder / "handlers", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "handlers" / "assistants" / "default.py").write_text(TOOLS)
    (folder / "infra").mkdir()
    shutil.copy(ROOT / "infra" / "template.yaml", folder / "infra")
    template = folder / "infra" / "template.yaml"
    return Emulator(PARLEY_TEMPLATE=str(template), PARLEY_IAM="enforce", CHAT_LANGUAGE="en")


def need_packages() -> None:
    """Skip the test where there is no Node, or where what the adapters adapt to is not installed."""
    if not shutil.which("node"):
        pytest.skip("there is no Node here: install Node 20 or later")
    if not (ROOT / "clients" / "node_modules" / "ai").exists():
        pytest.skip("the packages are not installed: `make clients/node_modules/of-all`")


def examples(folder: Path) -> Path:
    """Bundle the examples of the package into a folder, and return it."""
    script = PACKAGE / "examples" / "build.mjs"
    subprocess.run(["node", str(script), str(folder)], cwd=PACKAGE, check=True, timeout=HANGS)
    return folder


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the files of a folder. Gives the address."""

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with serving(Handler) as port:
        yield f"http://127.0.0.1:{port}"


def run(script: Path, *arguments: str, emulator: Emulator, user: str) -> str:
    """Run a script of the package with the address of an emulator and a user's token. Returns what it prints."""
    variables = {
        "PARLEY_URL": emulator.websocket_url,
        "PARLEY_HTTP_URL": emulator.url,
        "PARLEY_TOKEN": token(user, SECRET),
    }
    done = subprocess.run(
        ["node", str(script), *arguments],
        cwd=PACKAGE,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
