"""A browser without a window, that shows a page of this machine and tells what is to be read there."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread

import pytest

from tests.support.http_server import serving
from tests.support.waiting import HANGS

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--no-proxy-server", "--disable-background-networking", "--disable-component-update", "--disable-crash-reporter"),
)
TELL = """
<script>
  const tell = () => fetch('/told', {method: 'POST', body: document.body.innerText.trim()});
  new MutationObserver(tell).observe(document.body, {childList: true, characterData: true, subtree: true});
  tell();
</script>
"""
"""What a page has at its end: it tells its text at first, and after each change."""


def texts(body: str, folder: Path) -> Iterator[str]:
    """Show a page in Chromium; yield its text at first and after each change. Skip the test where there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("there is no Chromium here: install chromium")
    told: queue.Queue[str | None] = queue.Queue()
    with _served(f"<!doctype html><meta charset=utf-8><body>{body}{TELL}</body>", told) as url:
        command = [program, *OPTIONS, f"--user-data-dir={folder / 'profile'}", url]
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        with (folder / "log").open("w+") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
            Thread(target=lambda: (process.wait(), told.put(None)), daemon=True).start()
            try:
                first = _next(told)
                if first is None:
                    pytest.skip(f"Chromium shows no page here: {(folder / 'log').read_text()[-300:]!r}")
                yield first
                while (text := _next(told)) is not None:
                    yield text
            finally:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _next(told: queue.Queue[str | None]) -> str | None:
    try:
        return told.get(timeout=HANGS)
    except queue.Empty:
        return None


@contextmanager
def _served(page: str, told: queue.Queue[str | None]) -> Iterator[str]:
    """Serve a page, and take what it tells."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(page.encode() if self.path == "/" else b"")

        def do_POST(self) -> None:
            told.put(self.rfile.read(int(self.headers["content-length"])).decode())
            self._answer(b"")

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with serving(Handler) as port:
        yield f"http://127.0.0.1:{port}/"
