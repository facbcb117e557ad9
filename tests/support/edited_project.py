"""A project that a developer edits while its emulator runs."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.config import Config
from websockets.sync.client import ClientConnection, connect

from tests.support.devices import PARLEY, Emulator
from tests.support.waiting import HANGS

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Echo:
    Type: AWS::Serverless::Function
    Properties: {{CodeUri: code, Handler: app.handler, Timeout: 900, Environment: {{Variables: {{WORD: none}}}}{more}}}
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: live
      RouteSelectionExpression: $request.body.action
      Routes: {{$default: {{FunctionArn: !GetAtt Echo.Arn}}}}
{resources}
"""


class EditedProject:
    """A folder with a template and the code of a function, and the emulator that was started in it.

    `more` and `resources` are those of `template`.
    """

    def __init__(self, folder: Path, code: str, more: str = "", resources: str = "", **variables: str) -> None:
        self.folder = folder
        self.write("code/app.py", code)
        self.template(more, resources)
        started = {"PARLEY_TEMPLATE": str(folder / "template.yaml"), "PARLEY_USERS": "", **variables}
        self.emulator = _InFolder(folder, **started)
        once = Config(read_timeout=HANGS, retries={"total_max_attempts": 1})
        self.lambda_ = self.emulator.client("lambda", config=once)

    def template(self, more: str = "", resources: str = "") -> None:
        """Write the template: with further properties of the function, which begin with a comma, and resources."""
        self.write("template.yaml", TEMPLATE.format(more=more, resources=resources))

    def write(self, name: str, text: str) -> None:
        """Write a file as editors do: beside it, then over it."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}~")
        beside.write_text(text)
        beside.replace(path)

    def ask(self, event: Any = None, name: str = "Echo") -> Any:
        """Invoke a function that must succeed, and return what it answered."""
        answer = self.lambda_.invoke(FunctionName=name, Payload=json.dumps(event))
        content = json.load(answer["Payload"])
        assert "FunctionError" not in answer, content
        return content

    def connect(self, stage: str = "live") -> ClientConnection:
        return connect(f"ws://127.0.0.1:{self.emulator.port}/{stage}", open_timeout=HANGS)

    def lines(self, kind: str = "reload") -> list[str]:
        """Return the lines of this kind that the log has."""
        return [line.split(None, 2)[2].rstrip() for line in self.emulator.output if line[9:].startswith(f"{kind} ")]

    def until_logged(self, text: str, kind: str = "reload") -> str:
        """Wait for a line with this text, and return it."""
        return self.until(lambda: next((line for line in self.lines(kind) if text in line), None))

    def until(self, found: Callable[[], Any]) -> Any:
        """Wait until this returns something, and return it."""
        deadline = time.monotonic() + HANGS
        while not (result := found()):
            assert time.monotonic() < deadline, "".join(self.emulator.output)
            time.sleep(0.01)
        return result

    def stop(self) -> None:
        self.emulator.stop()


class _InFolder(Emulator):
    """An emulator that is started in a folder."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.command = ("/usr/bin/env", f"--chdir={folder}", os.fspath(PARLEY))  # type: ignore[misc]
        super().__init__(**variables)
