"""The example with `useChat` in a real browser: a page of another origin that talks to the emulator."""

import re
from urllib.parse import urlencode

import pytest
from parley.dev_tokens import token

from tests.support import adapters, npm
from tests.support.devices import SECRET


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    npm.install(adapters.CLIENTS)
    emulator = adapters.start(tmp_path_factory.mktemp("project"))
    yield emulator
    emulator.stop()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    npm.install(adapters.CLIENTS)
    with adapters.served(adapters.examples(tmp_path_factory.mktemp("example"))) as url:
        yield url


@pytest.fixture
def page(emulator, site, person):
    at = urlencode({"url": emulator.websocket_url, "token": token("alice", SECRET)})
    return person().tab(f"{site}/index.html#{at}")


def say(page, text):
    page.get_by_label("Message").fill(text)
    page.get_by_role("button", name="Send").click()


def replies(page):
    return page.get_by_label("assistant")


def is_ready(page):
    page.get_by_role("button", name="Send").and_(page.locator(":enabled")).wait_for()


def test_a_question_is_answered_and_answered_anew(page):
    say(page, "Tell me about tea.")
    replies(page).locator("small").wait_for()
    is_ready(page)
    assert replies(page).locator("p").inner_text()
    first = replies(page).get_attribute("id")
    page.get_by_role("button", name="Regenerate").click()
    page.locator(f"[aria-label=assistant]:not([id='{first}']) small").wait_for()
    assert replies(page).count() == 1


def test_a_call_is_allowed_after_the_page_was_loaded_again(page):
    say(page, '/tool switch {"on": true}')
    page.get_by_role("button", name="Allow").wait_for()
    page.reload()
    page.get_by_role("button", name="Allow").wait_for()
    is_ready(page)
    page.get_by_role("button", name="Allow").click()
    page.get_by_text("switch: output-available").wait_for()
    replies(page).locator("small").wait_for()
    assert "switch returned: on" in replies(page).inner_text()


def test_stop_ends_a_tool_that_runs(page):
    say(page, "/tool hang {}")
    page.get_by_text("hang: input-available").wait_for()
    page.get_by_role("button", name="Stop").click()
    is_ready(page)
    say(page, "Hello")
    replies(page).nth(1).locator("small").wait_for()
    page.reload()
    page.get_by_text(re.compile("hang: output-")).wait_for()
