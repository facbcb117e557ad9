"""The examples for Vitest and Jest in the documentation, run by Node's own test runner in the place of these two.

So the code of the examples is what is tested: the helper, the requests, what the emulator does. Vitest and Jest
themselves are some hundred packages, which no test installs.
"""

import json
import os
import shutil
import subprocess

import pytest

from tests.support import documentation, noting_project
from tests.support.devices import PARLEY

DOCUMENT = "docs/emulator/other-test-frameworks.md"
VITEST = """
import assert from "node:assert";
export { afterAll, beforeEach, test } from "./node-test.mjs";
export const expect = (found) => ({
  toBe: (wanted) => assert.strictEqual(found, wanted),
  toEqual: (wanted) => assert.deepStrictEqual(found, wanted),
  toHaveLength: (wanted) => assert.strictEqual(found.length, wanted),
});
"""
NODE_TEST = """export { after as afterAll, beforeEach, test } from "node:test";"""
JEST = """
import * as vitest from "vitest";
Object.assign(globalThis, vitest);
await import("./room.test.cjs");
"""


@pytest.fixture
def project(tmp_path):
    if not shutil.which("node"):
        pytest.skip("there is no Node here")
    noting_project.make(tmp_path)
    documentation.write_blocks(DOCUMENT, "js", tmp_path)
    package = tmp_path / "node_modules" / "vitest"
    package.mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"name": "vitest", "type": "module", "exports": "./index.mjs"}))
    (package / "index.mjs").write_text(VITEST)
    (package / "node-test.mjs").write_text(NODE_TEST)
    (tmp_path / "jest.mjs").write_text(JEST)
    return tmp_path


@pytest.mark.parametrize(("file", "tests"), [("room.test.mjs", 3), ("jest.mjs", 2)])
def test_an_example_passes(project, file, tests):
    flags = [] if "undefined" not in node("-p", "typeof WebSocket") else ["--experimental-websocket"]
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PARLEY_", "AWS_"))}
    suite = ["node", *flags, "--test-reporter=tap", file]
    command = [PARLEY, "exec", "--template", "template.yaml", "--", *suite]
    done = subprocess.run(command, cwd=project, env=own, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"# pass {tests}\n" in done.stdout


def node(*arguments):
    return subprocess.run(["node", *arguments], capture_output=True, text=True, check=True).stdout
