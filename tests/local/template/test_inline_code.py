"""Code that stands in the template gets a folder that nobody could prepare."""

import hashlib
import json
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from parley.template import functions
from parley.template.reader import read
from parley.template.source import load

from tests.support.waiting import HANGS

CODE = "import colorsys\ndef handler(event, context): return None\n"
TEMPLATE = """
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: api, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
  Sam:
    Type: AWS::Serverless::Function
    Properties: {Handler: index.handler, Runtime: python3.12, InlineCode: "%s"}
  Plain:
    Type: AWS::Lambda::Function
    Properties: {Handler: index.handler, Runtime: python3.12, Code: {ZipFile: "%s"}}
  Other:
    Type: AWS::Lambda::Function
    Properties: {Handler: index.handler, Runtime: python3.12, Code: {ZipFile: "x = 1"}}
"""
PROGRAM = """
import sys
from pathlib import Path
from parley.template.reader import read
[print(each.code) for each in read(Path(sys.argv[1])).functions.values()]
"""


@pytest.fixture
def template(tmp_path):
    path = tmp_path / "template.yaml"
    code = CODE.replace("\n", "\\n")
    path.write_text(TEMPLATE % (code, code))
    return path


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A temporary folder that others use too."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    functions.temporary_folder.cache_clear()
    yield folder
    functions.temporary_folder.cache_clear()


def test_what_others_have_put_beside_it_is_not_in_its_folder(template, temporary):
    digest = hashlib.sha256(CODE.encode()).hexdigest()
    for name in (f"parley-code-{digest[:16]}", "parley-code", f"parley-code/{digest[:16]}"):
        (temporary / name).mkdir()
        (temporary / name / "colorsys.py").write_text("raise RuntimeError('planted')")
    folders = {function.code for function in read(template).functions.values()}
    assert [[each.name for each in folder.iterdir()] for folder in folders] == [["index.py"]] * 2
    for folder in folders:
        assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(folder.parent.stat().st_mode) == 0o700


def test_the_same_code_has_the_same_folder_as_often_as_it_is_read(template, temporary):
    first, second = (read(template).functions for _ in range(2))
    assert first["Sam"].code == first["Plain"].code == second["Sam"].code
    assert first["Other"].code != first["Sam"].code
    assert (first["Sam"].code / "index.py").read_text() == CODE


def test_each_process_has_its_own_and_removes_it(template):
    runs = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM, template], capture_output=True, text=True, timeout=HANGS, check=True
        ).stdout.split()
        for _ in range(2)
    ]
    assert len({*runs[0], *runs[1]}) == 4
    assert not any(Path(folder).exists() for run in runs for folder in run)


def test_a_further_reading_writes_nothing_for_that_would_look_like_a_change(template):
    path = read(template).functions["Sam"].code / "index.py"
    os.utime(path, (0, 0))
    read(template)
    assert path.stat().st_mtime == 0


def test_half_of_a_surrogate_pair_in_it_is_a_question_mark(template, temporary):
    # Only JSON can have it.
    written = json.dumps(load(TEMPLATE % ("x = 'HALF'", "x = 1")))
    template.write_text(written.replace("HALF", r"\ud800"))
    assert (read(template).functions["Sam"].code / "index.py").read_text() == "x = '?'"
