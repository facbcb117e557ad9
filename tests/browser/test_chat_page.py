"""The chat page: two people and their devices talk, stop, edit, approve, and lose their connection."""

import re

import pytest
from playwright.sync_api import expect

from tests.support.chat_page import Cable, ChatPage, FakeBackend, message


def test_the_banner_names_this_page_and_the_console_and_both_open(project, person):
    emulator = project.emulator
    addresses = {
        line.split()[0]: line.split()[1] for line in emulator.output if line.startswith(("  Chat", "  Console"))
    }
    assert addresses == {"Chat": f"{emulator.url}/", "Console": f"{emulator.url}/_parley/"}
    anna = person()
    for address, title in ((addresses["Chat"], "Parley"), (addresses["Console"], "Parley console")):
        page = anna.tab(address)
        page.wait_for_function(f"document.title.includes({title!r})")
        page.locator("h1").first.wait_for(state="attached")


def test_a_person_asks_without_signing_in_and_finds_the_chat_again(open_page):
    chat = open_page()
    reply = chat.ask("Good morning")
    expect(reply).to_contain_text("You wrote: “Good morning”")
    expect(chat.page.get_by_role("heading", level=1)).to_have_text("Good morning")
    expect(chat.chats.first).to_have_text("Good morning")
    chat.page.reload()
    expect(chat.questions).to_have_text([re.compile("Good morning")])
    expect(chat.replies).to_have_count(1)


def test_the_cost_of_a_turn_is_told_with_what_it_covers(open_page):
    reply = (chat := open_page()).ask("What do you cost?")
    reply.locator(".cost-button").click()
    cost = chat.page.locator(".cost:popover-open")
    expect(cost).to_contain_text("Write units")
    expect(cost).to_contain_text("The price covers: frames, database, functions")


def test_two_people_have_their_own_chats(open_page):
    alice, bob = open_page(), open_page()
    alice.ask("I am Alice")
    bob.settings().get_by_role("combobox").select_option("bob")
    expect(bob.page.locator(".person-name")).to_have_text("bob")
    bob.ask("I am Bob")
    expect(bob.chats).to_have_text(["I am Bob"])
    expect(alice.chats.filter(has_text="Bob")).to_have_count(0)
    bob.page.reload()
    expect(bob.chats).to_have_text(["I am Bob"])


def test_two_tabs_stay_in_step(open_page, project, person):
    anna = person()
    one = open_page(anna)
    one.choose("Writer")
    one.ask("hello")
    two = open_page(anna, one.page.url.partition("/#")[2] and "#" + one.page.url.partition("#")[2])
    expect(two.replies).to_have_count(1)

    one.say("wait tabs")
    expect(two.replies.nth(1)).to_contain_text("and and")
    project.open_gate("tabs")
    two.expect_whole(two.replies.nth(1))
    one.expect_whole(one.replies.nth(1))
    assert two.replies.nth(1).locator(".markdown").inner_text() == one.replies.nth(1).locator(".markdown").inner_text()

    two.act("Rename")
    two.page.get_by_role("textbox", name="Title").fill("Our chat")
    two.page.keyboard.press("Enter")
    expect(one.page.get_by_role("heading", level=1)).to_have_text("Our chat")
    expect(one.chats.first).to_have_text("Our chat")

    one.act("Delete")
    one.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(two.page.get_by_role("alert")).to_have_text("This chat was deleted.")
    expect(two.chats.filter(has_text="Our chat")).to_have_count(0)
    expect(two.page.get_by_role("heading", name="What is on your mind?")).to_be_visible()


def test_a_reply_goes_on_after_the_connection_was_lost_in_its_middle(project, person):
    page = person().context.new_page()
    cable = Cable(page)
    page.goto(project.url)
    chat = ChatPage(page)
    chat.choose("Writer")
    chat.say("wait cable")
    expect(chat.replies).to_contain_text("and and")
    cable.cut()
    expect(page.get_by_text("Offline. Reconnecting…")).to_be_visible()
    shown = chat.replies.locator(".markdown").inner_text()
    project.open_gate("cable")
    cable.mend()
    chat.expect_whole(chat.replies)
    expect(page.get_by_text("Offline. Reconnecting…")).to_have_count(0)
    text = chat.replies.locator(".markdown").inner_text()
    assert text.startswith(shown.strip())
    assert re.fullmatch(r"(and )+that is all\.", text)


def test_what_is_written_offline_is_sent_later(project, person):
    page = person().context.new_page()
    cable = Cable(page)
    page.goto(project.url)
    chat = ChatPage(page)
    chat.ask("first")
    cable.cut()
    expect(page.get_by_text("Offline. Reconnecting…")).to_be_visible()
    chat.say("second")
    expect(chat.questions.nth(1)).to_contain_text("Will be sent when you are online")
    cable.mend()
    chat.expect_whole(chat.replies.nth(1))
    expect(chat.questions).to_have_count(2)
    expect(chat.replies.nth(1)).to_contain_text("“second”")


def test_a_browser_that_goes_offline_says_so_and_comes_back(open_page, person):
    anna = person()
    chat = open_page(anna)
    chat.ask("before")
    anna.context.set_offline(True)
    expect(chat.page.get_by_text("Offline. Reconnecting…")).to_be_visible()
    anna.context.set_offline(False)
    expect(chat.page.get_by_text("Offline. Reconnecting…")).to_have_count(0)
    chat.ask("after")


def test_a_reply_is_stopped(open_page):
    chat = open_page()
    chat.choose("Writer")
    chat.say("wait for ever")
    expect(chat.replies).to_contain_text("and and")
    chat.page.get_by_role("button", name="Stop the reply").click()
    chat.expect_whole(chat.replies)
    expect(chat.replies).to_contain_text("You stopped this reply.")


def test_an_edited_message_has_versions_and_so_has_a_reply_that_is_made_again(open_page):
    chat = open_page()
    chat.choose("Writer")
    chat.ask("one")
    chat.questions.hover()
    chat.questions.get_by_role("button", name="Edit").click()
    chat.page.get_by_role("textbox", name="Edit the message").fill("two")
    chat.page.keyboard.press("Enter")
    expect(chat.replies.locator(".markdown")).to_have_text("two")
    expect(chat.questions).to_contain_text("2 of 2")
    chat.questions.get_by_role("button", name="Previous version").click()
    expect(chat.replies.locator(".markdown")).to_have_text("one")
    expect(chat.questions).to_contain_text("1 of 2")
    expect(chat.questions.get_by_role("button", name="Previous version")).to_be_disabled()

    chat.replies.get_by_role("button", name="Make the reply again").click()
    expect(chat.replies).to_contain_text("2 of 2")
    chat.replies.get_by_role("button", name="Previous version").click()
    expect(chat.replies).to_contain_text("1 of 2")


@pytest.mark.parametrize(("answer", "outcome"), [("Approve", "Order 7 is cancelled."), ("Refuse", "did not approve")])
def test_a_tool_runs_only_after_the_person_has_approved_it(open_page, answer, outcome):
    chat = open_page()
    chat.choose("Shop")
    chat.say('/tool repeat {"text": "hello"}\n/tool cancel_order {"order": 7}')
    call = chat.page.locator(".call.waiting")
    expect(call).to_contain_text('"order": 7')
    expect(chat.page.locator(".call.done")).to_contain_text("repeat")
    call.get_by_role("button", name=answer).click()
    chat.expect_whole(chat.replies)
    expect(chat.replies.locator(".markdown").last).to_contain_text(outcome)
    expect(chat.page.locator(".call.waiting")).to_have_count(0)


def test_parts_are_folded_and_a_refusal_is_not_shown_twice(open_page):
    chat = open_page()
    chat.choose("Writer")
    reply = chat.ask("parts about tea")
    expect(reply.locator("details")).to_have_count(3)
    expect(reply.locator("details[open]")).to_have_count(0)
    reply.get_by_text("2 sources").click()
    expect(reply.get_by_role("link", name="about tea")).to_have_attribute("rel", "noopener noreferrer nofollow")
    refused = chat.ask("refuse I may not.")
    expect(refused.get_by_text("I may not.")).to_have_count(1)
    expect(refused.locator(".markdown")).to_have_text("So far.")


def test_files_are_attached_shown_and_named(open_page):
    chat = open_page()
    pixel = bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c626001000000ffff03000006"
        "0005057f7f2b0000000049454e44ae426082"
    )
    files = [
        {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"remember the milk"},
        {"name": "dot.png", "mimeType": "image/png", "buffer": pixel},
    ]
    chat.page.locator("input[type=file]").set_input_files(files)
    expect(chat.page.locator(".upload.ready")).to_have_count(2)
    chat.ask("What is in it?")
    expect(chat.questions.get_by_role("button", name="notes.txt")).to_be_visible()
    expect(chat.questions.get_by_role("img", name="dot.png")).to_be_visible()
    with chat.page.expect_download() as download:
        chat.questions.get_by_role("button", name="notes.txt").click()
    assert download.value.path().read_bytes() == b"remember the milk"


def test_a_file_that_was_refused_is_removed_before_the_message_is_sent(open_page):
    chat = open_page()
    program = {"name": "tool.exe", "mimeType": "application/x-msdownload", "buffer": b"MZ"}
    chat.page.locator("input[type=file]").set_input_files(program)
    expect(chat.page.locator(".upload.failed")).to_contain_text("Files of this type are not taken")
    chat.say("with a file")
    expect(chat.field).to_have_value("with a file")
    chat.page.get_by_role("button", name="Remove tool.exe").click()
    chat.field.press("Enter")
    chat.expect_whole(chat.replies)


def test_a_rating_stays_and_a_chat_is_exported(open_page):
    chat = open_page()
    reply = chat.ask("rate me")
    with chat.page.expect_response(re.compile("/feedback$")):
        reply.get_by_role("button", name="Good reply").click()
    chat.page.reload()
    expect(chat.replies.get_by_role("button", name="Good reply")).to_have_attribute("aria-pressed", "true")
    with chat.page.expect_download() as download:
        chat.act("Export as Markdown")
    assert download.value.suggested_filename == "rate me.md"
    assert "rate me" in download.value.path().read_text()


def test_chats_are_searched_by_their_titles(open_page):
    chat = open_page()
    chat.ask("Tell me about otters")
    expect(chat.chats.first).to_have_text("Tell me about otters")
    search = chat.page.get_by_role("searchbox")
    search.fill("OTTER tell")
    expect(chat.chats).to_have_text(["Tell me about otters"])
    search.fill("no such words")
    expect(chat.page.get_by_text("No chat has these words")).to_be_visible()


def test_a_message_over_a_limit_says_when_it_can_be_sent_again(project, person):
    page = person().context.new_page()
    refusal = {"message": "You may send 20 messages a minute.", "code": "rate_limited", "retryAfter": 40}
    FakeBackend(page, [message(1), message(2, "assistant")], message=refusal)
    page.goto(f"{project.url}#/chat/{FakeBackend.CHAT}")
    chat = ChatPage(page)
    expect(chat.replies).to_have_count(1)
    chat.say("one too many")
    expect(chat.questions.nth(1)).to_contain_text("You have reached a limit. Try again in 40 seconds.")
    expect(chat.questions.nth(1).get_by_role("button", name="Send again")).to_be_visible()


def test_a_notice_of_an_administrator_is_shown_once_as_text_until_it_is_dismissed(project, person):
    page = person().context.new_page()
    backend = FakeBackend(page, [message(1)])
    page.goto(f"{project.url}#/chat/{FakeBackend.CHAT}")
    expect(ChatPage(page).questions).to_have_count(1)
    for _ in range(2):
        backend.push("notice", message="<b>Down</b> at noon", noticeId="n1")
    backend.push("notice", message="Up again", noticeId="n2")
    notices = page.get_by_role("status", name="Message from the administrators")
    expect(notices).to_have_text(["<b>Down</b> at noon", "Up again"])
    notices.first.get_by_role("button", name="Dismiss").click()
    expect(notices).to_have_text(["Up again"])


def test_of_two_thousand_messages_only_those_near_the_window_are_in_the_document(project, person):
    page = person().context.new_page()
    FakeBackend(page, [message(number, ("user", "assistant")[number % 2]) for number in range(2000)])
    page.goto(f"{project.url}#/chat/{FakeBackend.CHAT}")
    chat = ChatPage(page)
    expect(page.get_by_text("Message number 1999.")).to_be_in_viewport()
    assert page.locator("article").count() < 100
    scroll = page.get_by_role("region", name="Conversation")
    scroll.focus()
    page.keyboard.press("Home")
    expect(page.get_by_text("Message number 0.", exact=True)).to_be_in_viewport()
    assert page.locator("article").count() < 100
    page.get_by_role("button", name="Jump to the newest message").click()
    expect(page.get_by_text("Message number 1999.")).to_be_in_viewport()
    expect(chat.page.get_by_role("button", name="Jump to the newest message")).to_have_count(0)


def test_a_scroll_event_may_come_when_the_list_has_left_the_page(project, person):
    page = person().context.new_page()
    FakeBackend(page, [message(number) for number in range(50)])
    page.goto(f"{project.url}#/chat/{FakeBackend.CHAT}")
    expect(page.get_by_text("Message number 49.")).to_be_in_viewport()
    conversation = page.get_by_role("region", name="Conversation")
    element = conversation.element_handle()
    page.goto(f"{project.url}#/")
    expect(conversation).to_have_count(0)
    element.evaluate("element => element.dispatchEvent(new Event('scroll'))")


def test_the_newest_text_stays_in_view_only_for_a_reader_at_the_end(open_page, project):
    chat = open_page(viewport={"width": 700, "height": 420})
    chat.choose("Writer")
    for number in range(4):
        chat.ask(f"{number}\n\n" * 6)
    chat.say("wait reader")
    expect(chat.replies.last).to_contain_text("and and")
    expect(chat.page.locator(".thinking")).to_be_in_viewport()
    scroll = chat.page.get_by_role("region", name="Conversation")
    scroll.hover()
    chat.page.mouse.wheel(0, -3000)
    jump = chat.page.get_by_role("button", name="Jump to the newest message")
    expect(jump).to_be_visible()
    place = scroll.evaluate("element => element.scrollTop")
    project.open_gate("reader")
    expect(chat.page.get_by_role("button", name="Stop the reply")).to_have_count(0)
    assert scroll.evaluate("element => element.scrollTop") == place
    jump.click()
    expect(chat.replies.last.get_by_role("button", name="Make the reply again")).to_be_in_viewport()
