"""The chat page for everybody: narrow, dark, in Russian, with the keyboard alone, with a screen reader."""

import re

import pytest
from playwright.sync_api import expect

from tests.support.chat_page import ChatPage, FakeBackend, message
from tests.support.page import NARROW

TEXT = (
    "say\n\n# A title\n\nSome *text* with `code` and [a link](https://example.com/).\n\n"
    "```python\nlong = 'a line of code that is much longer than a narrow screen is wide, and then some'\n```\n\n"
    "| one | two | three | four |\n|---|---|---|---|\n| aaaaaaaaaa | bbbbbbbbbb | cccccccccc | dddddddddd |\n\n"
    + "x"
    * 300
)


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_nothing_while_a_person_talks(open_page, colours):
    chat = open_page(color_scheme=colours)
    expect(chat.page.get_by_role("radio", name="Writer")).to_be_visible()
    assert chat.violations() == []

    chat.choose("Writer")
    chat.ask(TEXT)
    expect(chat.page.locator(".hljs-string")).not_to_have_count(0)
    chat.ask("parts about tea")
    for part in chat.page.locator("article").last.locator("summary").all():
        part.click()
    chat.ask("refuse No.")
    chat.questions.last.hover()
    assert chat.violations() == []

    chat.questions.last.get_by_role("button", name="Edit").click()
    assert chat.violations() == []
    chat.page.get_by_role("button", name="Cancel").click()

    chat.page.locator(".cost-button").last.click()
    assert chat.violations() == []
    chat.page.keyboard.press("Escape")

    chat.act("Delete")
    assert chat.violations() == []
    chat.page.get_by_role("button", name="Cancel").click()
    chat.settings()
    assert chat.violations() == []
    chat.page.get_by_role("button", name="Keyboard shortcuts").click()
    assert chat.violations() == []


def test_axe_finds_nothing_while_a_call_waits_and_after_a_refusal(open_page, project, person):
    chat = open_page()
    chat.choose("Shop")
    chat.say('/tool cancel_order {"order": 7}')
    expect(chat.page.get_by_role("button", name="Approve")).to_be_visible()
    assert chat.violations() == []

    page = person().context.new_page()
    refusal = {"message": "You may send 20 messages a minute.", "code": "rate_limited", "retryAfter": 400}
    FakeBackend(page, [message(1), message(2, "assistant")], message=refusal)
    page.goto(f"{project.url}#/chat/{FakeBackend.CHAT}")
    refused = ChatPage(page)
    expect(refused.replies).to_have_count(1)
    refused.say("one too many")
    expect(page.get_by_role("button", name="Send again")).to_be_visible()
    assert refused.violations() == []


def test_a_narrow_screen_never_scrolls_sideways_and_has_the_list_in_a_drawer(open_page):
    chat = open_page(viewport=NARROW)
    expect(chat.page.get_by_role("radio", name="Writer")).to_be_visible()
    assert not chat.is_too_wide()
    chat.choose("Writer")
    chat.ask(TEXT)
    chat.ask("parts " + "y" * 200)
    for part in chat.page.locator("article").last.locator("summary").all():
        part.click()
    assert not chat.is_too_wide()
    assert chat.page.get_by_role("region", name="Conversation").evaluate("each => each.scrollWidth <= each.clientWidth")

    opener = chat.page.get_by_role("button", name="Show the list of chats")
    drawer = chat.page.get_by_role("navigation", name="Chats")
    expect(drawer).not_to_be_visible()
    opener.click()
    expect(drawer).to_be_visible()
    expect(drawer.get_by_role("button", name="Hide the list of chats")).to_be_focused()
    assert chat.violations() == []
    chat.settings()
    assert not chat.is_too_wide()
    chat.page.keyboard.press("Escape")
    chat.page.get_by_role("button", name="Hide the list of chats").focus()
    chat.page.keyboard.press("Escape")
    expect(drawer).not_to_be_visible()
    opener.click()
    chat.chats.first.click()
    expect(drawer).not_to_be_visible()


def test_the_keyboard_alone_is_enough(open_page, project):
    chat = open_page()
    keys = chat.page.keyboard
    expect(chat.field).to_be_focused()
    keys.type("first line")
    keys.press("Shift+Enter")
    keys.type("second line")
    keys.press("Enter")
    chat.expect_whole(chat.replies)
    expect(chat.questions.locator(".bubble")).to_have_text("first line\nsecond line")
    expect(chat.field).to_be_focused()
    expect(chat.field).to_have_value("")

    keys.press("ArrowUp")
    editor = chat.page.get_by_role("textbox", name="Edit the message")
    expect(editor).to_be_focused()
    keys.press("Escape")
    expect(editor).to_have_count(0)
    expect(chat.field).to_be_focused()
    keys.press("ArrowUp")
    keys.press("Control+A")
    keys.type("changed")
    keys.press("Enter")
    expect(chat.questions).to_contain_text("2 of 2")

    keys.press("Control+k")
    expect(chat.page.get_by_role("searchbox")).to_be_focused()
    keys.press("Control+/")
    expect(chat.page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    keys.press("Escape")
    expect(chat.page.get_by_role("dialog")).to_have_count(0)
    expect(chat.page.get_by_role("searchbox")).to_be_focused()
    keys.press("Control+Shift+O")
    expect(chat.page.get_by_role("heading", name="What is on your mind?")).to_be_visible()
    expect(chat.field).to_be_focused()


def test_escape_stops_a_reply_and_the_skip_link_leads_to_the_field(open_page):
    chat = open_page()
    chat.choose("Writer")
    chat.say("wait for ever")
    expect(chat.replies).to_contain_text("and and")
    chat.page.keyboard.press("Escape")
    expect(chat.replies).to_contain_text("You stopped this reply.")

    chat.page.reload()
    expect(chat.replies).to_have_count(1)
    skip = chat.page.get_by_role("link", name="Skip to the message field")
    skip.focus()
    expect(skip).to_be_in_viewport()
    chat.page.keyboard.press("Enter")
    expect(chat.field).to_be_focused()


def test_a_menu_is_used_with_arrows(open_page):
    chat = open_page()
    chat.ask("menu")
    menu = chat.page.locator("main > header").get_by_role("button", name=re.compile("^Actions for"))
    menu.press("Enter")
    item = chat.page.get_by_role("menuitem")
    expect(item.nth(0)).to_be_focused()
    chat.page.keyboard.press("ArrowUp")
    expect(item.nth(3)).to_be_focused()
    chat.page.keyboard.press("ArrowDown")
    expect(item.nth(0)).to_be_focused()
    chat.page.keyboard.press("Escape")
    expect(menu).to_be_focused()


def test_a_screen_reader_is_told_of_a_reply_once_and_when_it_is_whole(open_page, project):
    chat = open_page()
    chat.choose("Writer")
    live = chat.page.locator("[aria-live=polite]")
    live.evaluate(
        "element => { window.told = [];"
        " new MutationObserver(() => window.told.push(element.textContent)).observe(element,"
        " {childList: true, characterData: true, subtree: true}) }"
    )
    chat.say("wait aloud")
    expect(chat.replies).to_contain_text("and and")
    project.open_gate("aloud")
    chat.expect_whole(chat.replies)
    expect(live).to_contain_text("that is all.")
    told = chat.page.evaluate("window.told")
    assert len(told) == 1
    assert re.fullmatch(r"The assistant has replied: (and )+(that is all\.)?", told[0])


def test_language_and_colours_are_those_of_the_browser_until_a_person_chooses(open_page):
    chat = open_page(locale="ru-RU", color_scheme="dark")
    page = chat.page
    expect(page.get_by_role("heading", name="О чём поговорим?")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "ru")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    chat.settings().get_by_role("radio", name="Светлое").check(force=True)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark
    page.get_by_role("radio", name="English").check(force=True)
    expect(page.get_by_role("heading", name="What is on your mind?", include_hidden=True)).to_be_attached()
    page.reload()
    expect(page.get_by_role("heading", name="What is on your mind?")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")


PRESS = """async (key) => {
  document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { ...key, bubbles: true, cancelable: true }));
  const { port1, port2 } = new MessageChannel();
  const next = new Promise((resume) => (port1.onmessage = resume));
  port2.postMessage(null);
  await next;
  return document.activeElement.getAttribute("aria-label") ?? document.activeElement.id;
}"""
"""Presses a key, and returns where the focus is when the next key may come: before the browser has painted again."""


def test_the_focus_moves_before_the_next_key_comes(open_page):
    chat = open_page(viewport=NARROW)
    chat.ask("a short question")
    expect(chat.field).to_be_focused()
    assert chat.page.evaluate(PRESS, {"key": "ArrowUp"}) == "Edit the message"
    assert chat.page.evaluate(PRESS, {"key": "Escape"}) == "Write a message"
    assert chat.page.evaluate(PRESS, {"key": "k", "ctrlKey": True}) == "search-field"
