"""The adapters of the JavaScript client, and an emulator whose assistant has tools for their tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.support import own_project
from tests.support.devices import ROOT, Emulator
from tests.support.http_server import serving
from tests.support.waiting import HANGS

CLIENTS = ROOT / "clients"
PACKAGE = CLIENTS / "javascript"
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
    template = own_project.copy(folder)
    (folder / "handlers" / "assistants" / "default.py").write_text(TOOLS)
    return Emulator(PARLEY_TEMPLATE=template, PARLEY_IAM="enforce", CHAT_LANGUAGE="en")


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


def run(*command: str, **variables: str) -> str:
    """Run a script of the package with Node, and return what it prints. Raise AssertionError with that if it fails."""
    websocket = ["--experimental-websocket"] if node_version() < 22 else []
    done = subprocess.run(
        ["node", *websocket, *command],
        cwd=PACKAGE,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def node_version() -> int:
    """Return the major version of Node."""
    printed = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=HANGS, check=True).stdout
    return int(printed.removeprefix("v").split(".")[0])
