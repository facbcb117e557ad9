"""Functions that misbehave as their events say, in each language that the emulator runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.lambda_service import LambdaService
from tests.support.node import javascript
from tests.support.pythons import by_our_client

PRINTED_MB = 64

_CHILD = "; ".join(
    (
        "import sys, socket, time",
        "listening = socket.create_server(('127.0.0.1', int(sys.argv[1])))",
        "print('up', flush=True)",
        "time.sleep(3600)",
    )
)
"""The program of a child: it listens on a port, says so, and stays."""

_PYTHON = f"""
import json, os, subprocess, sys, time

def do(what):
    if what == "throw":
        raise ValueError("no")
    if what == "exit":
        sys.exit(7)
    if what == "hang":
        while True:
            time.sleep(60)
    if what == "print":
        for _ in range({PRINTED_MB}):
            sys.stdout.write("x" * 2**20)
        return "printed"
    if what == "print without end":
        while True:
            sys.stdout.write("x" * 2**16)
    if isinstance(what, list):
        children = [
            subprocess.Popen(
                [{sys.executable!r}, "-c", {_CHILD!r}, str(port)], stdout=subprocess.PIPE, start_new_session=leaves
            )
            for port, leaves in zip(what, (False, True))
        ]
        return [child.stdout.readline() and child.pid for child in children]
    return os.getpid()

"""

_AT_LOAD = """
do(os.environ.get("AT_LOAD"))

def handler(event, context):
    return do(event)
"""

_BOOTSTRAP = f"""#!{sys.executable}
import http.client
{_PYTHON}
do(os.environ.get("AT_LOAD"))
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    answer = api.getresponse()
    event, id = json.loads(answer.read()), answer.headers["Lambda-Runtime-Aws-Request-Id"]
    api.request("POST", f"/2018-06-01/runtime/invocation/{{id}}/response", json.dumps(do(event)))
    api.getresponse().read()
"""

_NODE = f"""
const {{ spawn }} = require('node:child_process');

async function handle(what) {{
  if (what === 'print' || what === 'print without end') {{
    const text = 'x'.repeat(2 ** 20);
    for (let left = what === 'print' ? {PRINTED_MB} : Infinity; left > 0; left -= 1) {{
      await new Promise((resolve) => process.stdout.write(text, resolve));
    }}
    return 'printed';
  }}
  if (!Array.isArray(what)) return process.pid;
  return Promise.all(what.map((port, number) => new Promise((resolve) => {{
    const options = {{ detached: number === 1, stdio: ['ignore', 'pipe', 'inherit'] }};
    const child = spawn({sys.executable!r}, ['-c', {_CHILD!r}, String(port)], options);
    child.stdout.once('data', () => resolve(child.pid));
  }})));
}}

function act(what) {{
  if (what === 'throw') throw new RangeError('no');
  if (what === 'exit') process.exit(7);
  while (what === 'hang');
}}

act(process.env.AT_LOAD);
exports.handler = (event) => {{ act(event); return handle(event); }};
"""

LANGUAGES = ("Python", "Python by our client", "Node", "an executable")


def options(language: str, **more: Any) -> dict[str, Any]:
    """Return the options of a Lambda service for a function in this language."""
    if language == "Node":
        return javascript(**more)
    more = {"memory": 512, **more}
    if language == "an executable":
        return {"runtime": "provided.al2023", **more}
    return {"interpreter_of": {"f": by_our_client()}, **more} if language == "Python by our client" else more


def source(language: str) -> str:
    """Return the function's file; of an executable it is not used."""
    return _NODE if language == "Node" else _PYTHON + _AT_LOAD


def complete(service: LambdaService, language: str) -> None:
    """Write what the service has not: the executable."""
    if language == "an executable":
        _write_executable(service.folder / "f")


def write_all(folder: Path) -> None:
    """Write the functions of all languages, each into a folder of its own: `python`, `node` and `executable`."""
    for name in ("python", "node", "executable"):
        (folder / name).mkdir()
    (folder / "python" / "app.py").write_text(source("Python"))
    (folder / "node" / "app.js").write_text(source("Node"))
    _write_executable(folder / "executable")


def _write_executable(folder: Path) -> None:
    file = folder / "bootstrap"
    file.write_text(_BOOTSTRAP)
    file.chmod(0o755)


def at_load(what: str) -> Mapping[str, Any]:
    """Return the option with which a function does this while it is loaded."""
    return {"environment": {"AT_LOAD": what}}
