"""The decisions of the pages, tested by Node's own runner, without a browser."""

from __future__ import annotations

import subprocess

from tests.support import npm
from tests.support.adapters import CLIENTS
from tests.support.waiting import HANGS


def test_what_the_pages_decide():
    npm.install(CLIENTS)
    command = ["node", "test/run.mjs", "--test-reporter=tap"]
    done = subprocess.run(
        command, cwd=CLIENTS / "pages", capture_output=True, text=True, timeout=2 * HANGS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# fail 0" in done.stdout
