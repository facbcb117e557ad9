"""The tutorial, as a reader has it: its files are written down, its commands are run, and its pages are used."""

import os
import re
import shutil
import socket
import subprocess
import sys

import pytest

from tests.support.devices import ROOT, SECRET, Emulator, free_port
from tests.support.waiting import HANGS, until

TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
FILES = dict(re.findall(r"^`my-chat/(\S+)`:\n\n```\w+\n(.*?)^```$", TUTORIAL, re.MULTILINE | re.DOTALL))
CLIENTS = ROOT / "clients"
BUNDLE = "npx esbuild react.jsx --bundle --format=esm --jsx=automatic --outfile=bundle.js"


@pytest.fixture(scope="module")
def emulator():
    # A reply must not end by itself before a test has stopped it.
    emulator = Emulator(PARLEY_TOKENS_PER_SECOND="200", MAX_COMPLETION_TOKENS="1000000")
    yield emulator
    emulator.stop()


@pytest.fixture(scope="module")
def folder(emulator, tmp_path_factory):
    """The reader's folder, beside the package as npm installs it."""
    folder = tmp_path_factory.mktemp("tutorial") / "my-chat"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text.replace("ws://127.0.0.1:8000/ws/chat", emulator.websocket_url))
    package = folder / "node_modules" / "parley-client"
    subprocess.run(["node", CLIENTS / "javascript" / "build.mjs", "--out", package / "dist"], check=True)
    shutil.copy(CLIENTS / "javascript" / "package.json", package)
    shutil.copytree(package / "dist", folder / "parley")
    for each in (CLIENTS / "node_modules").iterdir():
        if each.name != "parley-client":
            (folder / "node_modules" / each.name).symlink_to(each)
    assert f"$ {BUNDLE}\n" in TUTORIAL
    subprocess.run(BUNDLE.split(), cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def url(folder):
    port = free_port()
    environment = os.environ | {"JWT_SECRET": SECRET}
    server = subprocess.Popen([sys.executable, folder / "server.py", str(port)], env=environment)
    until(lambda: is_listening(port))
    yield f"http://localhost:{port}"
    server.kill()
    server.wait(HANGS)


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def say(page, text):
    page.get_by_label("Message").fill(text)
    page.get_by_role("button", name="Send").click()


def test_the_page_of_forty_lines_shows_a_chat_and_a_reload_the_same_one(url, person):
    assert len(FILES["chat.js"].splitlines()) <= 40
    page = person().tab(url)
    page.get_by_text("online").wait_for()
    say(page, "Hello")
    page.locator("#log p").nth(1).wait_for()
    until(lambda: not page.get_by_role("button", name="Stop").is_visible())
    shown = page.locator("#log p").all_text_contents()
    assert shown[0] == "user: Hello"
    assert shown[1].startswith("assistant: ")
    page.reload()
    page.locator("#log p").nth(1).wait_for()
    assert page.locator("#log p").all_text_contents() == shown


def test_its_reply_is_stopped(url, person):
    page = person().tab(url)
    page.get_by_text("online").wait_for()
    say(page, "/long 100000")
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Stop").wait_for(state="hidden")


def test_the_page_with_react_shows_a_reply(url, person):
    page = person().tab(f"{url}/react.html")
    say(page, "Hello")
    page.get_by_text("assistant: ").wait_for()
    until(lambda: page.get_by_role("button", name="Send").is_enabled())
    assert page.locator("p").first.text_content() == "user: Hello"
    assert len(page.locator("p").nth(1).text_content()) > len("assistant: ")
