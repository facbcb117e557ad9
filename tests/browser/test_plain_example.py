"""The example without a framework in a real browser: the JavaScript client as it is built, and a network that goes."""

import shutil
from urllib.parse import urlencode

import pytest
from parley.dev_tokens import token
from playwright.sync_api import expect

from tests.support import adapters, npm
from tests.support.devices import SECRET, Emulator


@pytest.fixture(scope="module")
def emulator():
    emulator = Emulator()
    yield emulator
    emulator.stop()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    npm.install(adapters.CLIENTS)
    folder = tmp_path_factory.mktemp("package")
    adapters.run("build.mjs", "--out", str(folder / "dist"))
    shutil.copytree(adapters.PACKAGE / "examples", folder / "examples")
    with adapters.served(folder) as url:
        yield url


def test_what_is_said_offline_is_answered_later_and_is_there_after_a_reload(emulator, site, person):
    anna = person()
    at = urlencode({"url": emulator.websocket_url, "token": token("alice", SECRET)})
    page = anna.tab(f"{site}/examples/plain.html?{at}")
    stored = page.locator("li[data-status=done]")

    def say(text):
        page.get_by_label("Message").fill(text)
        page.get_by_role("button", name="Send").click()

    say("Is there tea?")
    expect(stored).to_have_count(2)
    anna.context.set_offline(True)
    expect(page.get_by_role("status")).to_have_text("offline")
    say("And coffee?")
    expect(page.locator("li[data-status=sending]")).to_have_text("And coffee?")
    anna.context.set_offline(False)
    expect(stored).to_have_count(4)
    texts = stored.all_inner_texts()
    page.reload()
    expect(stored).to_have_count(4)
    assert stored.all_inner_texts() == texts
