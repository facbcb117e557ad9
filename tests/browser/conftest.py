"""The pages in a real browser. Without Chromium, or without the built pages, the tests are skipped with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.support import page
from tests.support.chat_page import ChatPage, Project
from tests.support.page import Person
from tests.support.waiting import HANGS

HERE = Path(__file__).parent

# An expectation waits as long as everything else here: only what hangs fails.
expect.set_options(timeout=HANGS * 1000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if reason := page.missing():
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Not for the whole session: Playwright runs an event loop in this thread as long, and a worker also runs other
    # files, whose tests run loops of their own.
    with page.browser() as browser:
        yield browser


@pytest.fixture
def person(browser: Browser) -> Iterator[Callable[..., Person]]:
    """Gives a browser to each person. At the end none of their pages may have had an error."""
    people: list[Person] = []

    def arrived(**options: Any) -> Person:
        people.append(Person(browser, **options))
        return people[-1]

    yield arrived
    problems = [problem for each in people for problem in each.problems]
    for each in people:
        each.context.close()
    assert problems == []


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The chat with assistants for tests, in an emulator of the file's own."""
    project = Project(tmp_path_factory.mktemp("project"))
    yield project
    project.emulator.stop()


@pytest.fixture
def open_page(project: Project, person: Callable[..., Person]) -> Callable[..., ChatPage]:
    """Opens the page, in a browser of its own or as a further tab of somebody's."""

    def opened(somebody: Person | None = None, at: str = "", **options: Any) -> ChatPage:
        return ChatPage((somebody or person(**options)).tab(project.url + at))

    return opened
