"""The types of the client, its adapters, its examples and the pages."""

from __future__ import annotations

import subprocess

from tests.support import npm
from tests.support.adapters import CLIENTS


def test_they_are_right_everywhere():
    npm.install(CLIENTS)
    done = subprocess.run(["npm", "run", "check", "--silent"], cwd=CLIENTS, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
