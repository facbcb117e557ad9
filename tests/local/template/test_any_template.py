"""A template that is wrong anywhere is read, or refused in one line. Parts of real templates are changed by chance."""

import json
from copy import deepcopy
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parley.cli import describe
from parley.errors import StartError
from parley.template.reader import read
from parley.template.source import load

ROOT = Path(__file__).parents[3]
TEMPLATES = [ROOT / "infra" / "template.yaml", *sorted((ROOT / "tests" / "emulator").glob("templates/*/template.yaml"))]
DOCUMENTS = {path: json.loads(json.dumps(load(path.read_text()))) for path in TEMPLATES}
ODD = [
    *(None, True, 0, -1, 2**70, 1e308, float("inf"), float("nan"), "", "x", "9" * 5000, "x" * 300, "\ud800", "\0"),
    *([], {}, [None], [[]], {"": None}, "${", "${A", "arn:aws:lambda:us-east-1:0:function:x", "rate(1 minute)"),
    *({"Ref": "Nobody"}, {"Ref": []}, {"Ref": "AWS::NoValue"}, {"Fn::GetAtt": []}, {"Fn::Sub": ["${x}", []]}),
    *({"Fn::If": ["x", 1]}, {"Fn::Join": ["", {}]}, {"Fn::Select": [5, [1]]}, {"Fn::Split": [1, 2]}),
    *({"Fn::FindInMap": ["a", "b", "c"]}, {"Fn::ForEach::X": ["a", ["b"], {"C${a}": {}}]}, {"Fn::Transform": {}}),
]


def places(value, path=()):
    """The path of each value inside of another one."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(inner, (*path, key))


def inside(value, path):
    for key in path:
        value = value[key]
    return value


PARTS = [(path, place) for path, document in DOCUMENTS.items() for place in places(document)]


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    """A path for a changed template, from which the code has the same relative path as from the real one."""

    def path_of(template):
        folder = root = tmp_path_factory.mktemp("project")
        for name in (*template.parent.relative_to(ROOT).parts, ""):
            for entry in (ROOT / folder.relative_to(root)).iterdir():
                if entry.name != name:
                    (folder / entry.name).symlink_to(entry)
            folder /= name
            folder.mkdir(exist_ok=True)
        return folder / "changed.json"

    return {template: path_of(template) for template in TEMPLATES}


# The same changes in each run: a fault that chance finds would stop a change that has not made it.
@settings(derandomize=True)
@given(st.sampled_from(TEMPLATES), st.data())
def test_it_is_read_or_refused(beside, path, data):
    document = deepcopy(DOCUMENTS[path])
    for _ in range(data.draw(st.integers(1, 4))):
        *before, last = data.draw(st.sampled_from(list(places(document))))
        other, place = data.draw(st.sampled_from(PARTS))
        new = data.draw(st.sampled_from([*ODD, inside(DOCUMENTS[other], place)]))
        inside(document, before)[last] = deepcopy(new)
    beside[path].write_text(json.dumps(document))
    try:
        template = read(beside[path])
    except StartError as refusal:
        said = str(refusal)
    else:
        said = ""
        assert describe.as_text(template)
        assert describe.as_json(template)
    assert "\n" not in said
