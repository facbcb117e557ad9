"""The pictures of the documentation. Each test of the suite makes them anew; `make pictures` keeps them."""

import os

import pytest
from playwright.sync_api import expect

from tests.support import pictures
from tests.support.cast import Recording, svg
from tests.support.chat_page import ChatPage, Project
from tests.support.devices import PARLEY, SECRET
from tests.support.page import NARROW, WIDE

QUESTION = "How long does a connection live?"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    pace = {"PARLEY_TOKENS_PER_SECOND": "25"} if pictures.are_made() else {}
    project = Project(tmp_path_factory.mktemp("pictures"), {"guide": pictures.GUIDE}, {"PARLEY_RECORD": "1", **pace})
    yield project
    project.emulator.stop()


@pytest.fixture
def folder(tmp_path):
    return pictures.folder(tmp_path)


@pytest.fixture
def asked(project, person):
    """Open the chat page with a conversation."""

    def asked(**options):
        page = ChatPage(person(**options).tab(project.url))
        page.choose("Docs guide")
        page.ask(QUESTION)
        return page

    return asked


def test_the_chat_page(asked, folder):
    page = asked(viewport=WIDE)
    expect(page.chats.first).to_contain_text(QUESTION)
    page.page.screenshot(path=folder / "chat-page.png")


def test_the_chat_page_on_a_telephone_in_the_dark(asked, folder):
    page = asked(viewport=NARROW, color_scheme="dark", device_scale_factor=2)
    expect(page.replies.last).to_be_in_viewport()
    page.page.screenshot(path=folder / "chat-page-narrow.png")


def test_the_console(asked, project, person, folder):
    asked()
    page = person(viewport=WIDE).tab(f"{project.emulator.url}/_parley/")
    page.locator(".long-list .row", has=page.get_by_text("message", exact=True)).first.click()
    expect(page.locator(".wf-row", has_text="GenerateFunction").first).to_be_visible()
    page.screenshot(path=folder / "console.png")


def test_the_terminal(project, folder):
    environment = {**os.environ, "TERM": "xterm-256color", "JWT_SECRET": SECRET}
    command = (PARLEY, "chat", "--user", "bob", "--port", project.emulator.port, "--cost")
    terminal = Recording(command, environment)
    pause = 1.0 if pictures.are_made() else 0.0
    terminal.until(lambda text: "›" in text)
    terminal.rest(pause)
    terminal.type("What happens to my message?", pause / 20)
    terminal.type("\r")
    terminal.until(lambda text: "write units" in text and "Title: " in text)
    terminal.rest(2 * pause)
    terminal.type("/chats\r", pause / 20)
    terminal.until(lambda text: "(this one)" in text)
    terminal.process.kill()
    terminal.process.wait()
    (folder / "terminal.svg").write_text(svg(terminal.frames, "A conversation with parley chat"))
    assert "What happens to my message?" in (folder / "terminal.svg").read_text()


def test_the_documentation_shows_each_of_them():
    assert {each.name for each in pictures.KEPT.iterdir()} == set(pictures.NAMES)
    pages = [pictures.KEPT.parent.parent / "README.md", *pictures.KEPT.parent.rglob("*.md")]
    shown = "".join(page.read_text() for page in pages)
    assert [name for name in pictures.NAMES if f"images/{name})" not in shown] == []
