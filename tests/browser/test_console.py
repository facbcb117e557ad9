"""The console in a browser: what went wrong is found, and nothing that it shows can run."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect
from websockets.exceptions import ConnectionClosed

from tests.support import axe
from tests.support.console_project import GONE, HOSTILE, ConsoleProject
from tests.support.page import NARROW
from tests.support.waiting import HANGS

VIEWS = ("timeline", "connections", "invocations", "tables", "queues", "faults", "cost")


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    emulator = ConsoleProject(tmp_path_factory.mktemp("console"))
    yield emulator
    emulator.stop()


@pytest.fixture(scope="module")
def anna(emulator):
    return emulator.client("anna")


@pytest.fixture
def faults(emulator):
    """Replaces the faults. After the test there are none."""
    yield lambda *plan: emulator.own("PUT", "faults", {"faults": plan})
    emulator.own("PUT", "faults", {"faults": []})


@pytest.fixture
def console(emulator, person):
    """Opens a view of the console."""
    someone = person()
    return lambda view="timeline": someone.tab(f"{emulator.console}#/{view}")


def say(client, action, **fields):
    """Send a message, and wait for its echo."""
    client.socket.send(json.dumps({"action": action, **fields}))
    while json.loads(client.socket.recv(HANGS)).get("action") != action:
        pass


def turn(page, text):
    """The row of the newest turn with this text."""
    return page.locator(".long-list .row", has_text=text).first


def step(page, text):
    """The row of the waterfall with this text."""
    return page.locator(".wf-row", has_text=text).first


class TestTimeline:
    def test_a_turn_appears_as_it_happens_and_is_a_waterfall(self, console, anna):
        page = console()
        page.get_by_role("status").get_by_text("Live").wait_for()
        say(anna, "note-live", text="while the console is open")
        turn(page, "note-live").click()
        step(page, "$default").wait_for()
        names = [re.sub(r"\s+", " ", each) for each in page.locator(".wf-name").all_inner_texts()]
        assert [name.split()[0] for name in names] == ["frame", "route", "Chat", "INFO", "dynamodb", "post"]
        assert "1 unit" in names[4]
        expect(page.get_by_role("region", name="frame in")).to_contain_text("while the console is open")
        step(page, "post").click()
        expect(page.get_by_role("region", name="frame out")).to_contain_text("while the console is open")
        page.keyboard.press("ArrowUp")
        expect(step(page, "dynamodb PutItem")).to_be_focused()
        step(page, "INFO working").click()
        expect(page.get_by_role("region", name="Log")).to_contain_text("while the console is open")

    def test_a_planted_slow_call_is_found(self, console, anna, faults):
        faults({"point": "store", "do": "delay", "match": ["PutItem"], "seconds": 1})
        page = console()
        say(anna, "note-slow", text="slow")
        turn(page, "note-slow").click()
        step(page, "$default").wait_for()
        expect(step(page, "dynamodb PutItem").locator(".wf-time")).to_have_text(re.compile(r"\d\.\d\d s$"))
        widths = page.locator(".wf-bar").evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().width)")
        place = page.locator(".wf-row").evaluate_all(
            "rows => rows.findIndex(row => row.textContent.includes('dynamodb PutItem'))"
        )
        below_the_function = widths[3:]
        assert max(below_the_function) == widths[place]
        expect(step(page, "delay · store")).to_be_visible()

    def test_a_planted_410_is_found(self, console, anna):
        anna.socket.send(json.dumps({"action": "farewell", "to": GONE}))
        page = console()
        page.get_by_role("button", name="Failed only").click()
        turn(page, "farewell").click()
        expect(step(page, "failed post")).to_contain_text(f"410 · {GONE}")

    def test_one_users_trouble_is_found_by_id(self, console, emulator, anna):
        boris = emulator.client("boris")
        say(anna, "annas-message")
        say(boris, "borises-message")
        page = console()
        turn(page, "annas-message").wait_for()
        page.keyboard.press("/")
        page.keyboard.type("boris")
        page.keyboard.press("Enter")
        expect(page.locator(".row", has_text="annas-message")).to_have_count(0)
        turn(page, "borises-message").wait_for()
        expect(turn(page, "$connect")).to_contain_text("boris")

    def test_any_text_of_a_payload_is_found(self, console, anna):
        say(anna, "payload", text="id-0815")
        say(anna, "payload", text="another")
        page = console("timeline?q=id-0815")
        expect(page.locator(".row")).to_have_count(1)
        expect(page.locator(".count")).to_have_text("1 found")

    def test_arrows_move_in_the_list(self, console, anna):
        say(anna, "first-of-two")
        say(anna, "second-of-two")
        page = console()
        turn(page, "second-of-two").focus()
        page.keyboard.press("ArrowDown")
        expect(page.locator(".row[aria-current=true]")).to_contain_text("first-of-two")
        expect(page.locator(".row:focus")).to_contain_text("first-of-two")

    def test_many_events_are_drawn_only_where_they_are_in_sight(self, emulator, person):
        events = [
            {"number": each, "at": 1000 + each, "kind": "note", "text": f"note {each}"} for each in range(1, 10_001)
        ]
        someone = person()

        def answer(route):
            after = int(re.search(r"after=(\d+)", route.request.url)[1])
            sent = events[after : after + 1000]
            headers = {"x-parley-run": "made up", "x-parley-last": str(sent[-1]["number"] if sent else after)}
            route.fulfill(body=json.dumps(sent), headers=headers, content_type="application/json")

        someone.context.route("**/_parley/trace?*", answer)
        page = someone.tab(f"{emulator.console}#/timeline?events=1")
        turn(page, "note 10000").wait_for()
        assert page.locator(".row").count() < 100
        turn(page, "note 10000").focus()
        page.keyboard.press("End")
        page.locator(".row:focus[data-row='1']").wait_for()
        assert page.locator(".row").count() < 100

    def test_without_recording_the_option_is_named(self, emulator, person):
        someone = person()
        someone.context.route("**/_parley/record", lambda route: route.fulfill(json={"recording": False}))
        page = someone.tab(emulator.console)
        page.get_by_text("Start the emulator with --record").wait_for()

    def test_it_goes_on_after_the_emulator_was_away(self, emulator, person, anna):
        someone = person()
        page = someone.tab(emulator.console)
        page.get_by_role("status").get_by_text("Live").wait_for()
        someone.context.set_offline(True)
        say(anna, "while-away")
        page.get_by_role("alert").wait_for()
        someone.context.set_offline(False)
        turn(page, "while-away").wait_for()


class TestInvocations:
    @pytest.fixture
    def invocation(self, console, anna):
        """A page with the newest invocation, which is of a message."""
        say(anna, "invoked")
        page = console("invocations")
        turn(page, "invoked").click()
        page.get_by_role("button", name="Replay", exact=True).wait_for()
        return page

    def test_an_edited_event_is_run(self, invocation):
        invocation.get_by_role("button", name="Edit and replay").click()
        invocation.get_by_label("Event for the replay").fill('{"number": 21}')
        invocation.locator("form.editor").get_by_role("button", name="Replay").click()
        expect(invocation.get_by_role("region", name="Answer of the replay")).to_contain_text('"doubled": 42')
        invocation.get_by_role("link", name="Show the replay").click()
        expect(invocation.get_by_role("region", name="Event", exact=True)).to_contain_text('"number": 21')

    def test_an_event_that_is_no_json_is_refused_with_the_reason(self, invocation):
        invocation.get_by_role("button", name="Edit and replay").click()
        invocation.get_by_label("Event for the replay").fill("{")
        invocation.locator("form.editor").get_by_role("button", name="Replay").click()
        expect(invocation.get_by_role("alert")).to_contain_text("no JSON")

    def test_the_fixture_is_the_recorded_event(self, invocation, emulator):
        with invocation.expect_download() as download:
            invocation.get_by_role("button", name="Save as a fixture").click()
        number = re.fullmatch(r"Chat-(\d+)\.json", download.value.suggested_filename)[1]
        saved = download.value.path().read_text()
        event = emulator.own("GET", f"invocations/{number}")["event"]
        assert saved == json.dumps(event, indent=2, ensure_ascii=False) + "\n"


class TestWhatThereIs:
    def test_a_connection_is_shown_with_its_user_and_closed(self, console, emulator):
        clara = emulator.client("clara")
        page = console("connections")
        card = page.locator(".card", has_text="clara")
        expect(card).to_contain_text("Idle time left")
        card.get_by_role("button", name="Close the connection").click()
        card.wait_for(state="detached")
        with pytest.raises(ConnectionClosed) as closed:
            clara.socket.recv(HANGS)
        assert closed.value.rcvd.code == 1000

    def test_items_have_their_time_to_live(self, console, anna):
        say(anna, "note", text="an item that ends")
        page = console("tables?name=Notes&key=an item that ends")
        item = page.locator(".items li")
        expect(item).to_have_count(1)
        expect(item).to_contain_text("expires in")
        item.locator("summary").click()
        expect(item.get_by_role("region")).to_contain_text('"id": "an item that ends"')

    def test_messages_of_a_queue_are_seen_and_stay(self, console, anna):
        say(anna, "queue", text="a job that waits")
        page = console("queues")
        page.get_by_role("link", name="Jobs", exact=True).click()
        expect(page.locator(".items li", has_text="a job that waits")).to_contain_text("visible")
        expect(page.locator(".card", has_text="Dead letters of Jobs")).to_have_count(1)

    def test_the_cost_is_the_sum_of_its_parts(self, console, anna, emulator):
        say(anna, "costs")
        page = console("cost")
        expect(page.get_by_role("row", name="Lambda invocations")).to_contain_text("requests")
        expect(page.get_by_text("free tiers")).to_be_visible()
        cost = emulator.own("GET", "cost")
        assert cost["dollars"] == pytest.approx(sum(each["dollars"] for each in cost["parts"]))


def test_faults_are_switched_on_and_off(console, emulator, anna, faults):
    page = console("faults")
    switch = page.get_by_role("switch", name="Clients are gone")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "true")
    assert [(each["point"], each["do"], each["times"]) for each in emulator.own("GET", "faults")["faults"]] == [
        ("post", "410", None)
    ]
    anna.socket.send('{"action": "nobody-hears"}')
    expect(page.locator("li.bar", has_text="post: 410")).to_contain_text("1 ×")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "false")
    assert emulator.own("GET", "faults")["faults"] == []
    say(anna, "heard")


def test_a_fault_is_described_and_removed(console, emulator, faults):
    page = console("faults")
    page.get_by_label("Where").select_option("store")
    page.get_by_label("What happens").select_option("throttle")
    page.get_by_label("Only if it contains").fill("PutItem")
    page.get_by_label("How often").fill("")
    page.get_by_role("button", name="Add the fault").click()
    row = page.locator("li.bar", has_text="store: throttle")
    expect(row).to_contain_text('match "PutItem" · times ∞')
    row.get_by_role("button", name="Remove").click()
    row.wait_for(state="detached")
    assert emulator.own("GET", "faults")["faults"] == []


@pytest.mark.parametrize(("scheme", "views"), [("light", VIEWS), ("dark", ("timeline", "faults", "cost"))])
def test_axe_finds_no_violation(emulator, person, anna, scheme, views):
    if reason := axe.missing():
        pytest.skip(reason)
    say(anna, "note", text="for axe")
    say(anna, "queue", text="for axe")
    anna.socket.send('{"action": "fail", "text": "for axe"}')
    someone = person(color_scheme=scheme, reduced_motion="reduce")
    page = someone.tab(emulator.console)
    found = {}
    for view in views:
        page.goto(f"{emulator.console}#/{view}")
        page.locator(f"main.{view} :is(.row, .card, summary, table)").first.wait_for()
        found[view] = axe.violations(page)
    page.goto(f"{emulator.console}#/timeline")
    turn(page, "fail").click()
    page.locator(".wf-row.of-invocation").click()
    page.get_by_role("button", name="Edit and replay").click()
    found["turn"] = axe.violations(page)
    assert {view: broken for view, broken in found.items() if broken} == {}


def test_a_narrow_screen_needs_no_sideways_scrolling(emulator, person, anna):
    say(anna, "note-long", text="a long text without any place to break " + "x" * 200)
    page = person(viewport=NARROW).tab(emulator.console)
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    for view in VIEWS:
        page.goto(f"{emulator.console}#/{view}")
        page.locator(f"main.{view} :is(.row, .card, summary, table)").first.wait_for()
        assert (view, page.evaluate(wide)) == (view, 0)
    page.goto(f"{emulator.console}#/timeline")
    turn(page, "note-long").click()
    page.locator(".wf-row.of-invocation").click()
    page.get_by_role("region", name="Event", exact=True).wait_for()
    assert page.evaluate(wide) == 0
    page.get_by_role("link", name="Back to the list").click()
    turn(page, "note-long").wait_for()


def test_nothing_hostile_runs(emulator, person, anna):
    hostile = emulator.client("hostile%3Cimg%20src=x%20onerror=window.hacked=1%3E")
    say(hostile, "note", text=HOSTILE)
    say(hostile, "queue", text=HOSTILE)
    say(hostile, HOSTILE, text=HOSTILE)
    hostile.socket.send(json.dumps({"action": "fail-hostile", "text": HOSTILE}))
    page = person().tab(f"{emulator.console}#/timeline")
    turn(page, "fail-hostile").click()
    page.locator(".wf-row.of-invocation").click()
    page.get_by_role("region", name="Log").wait_for()
    turn(page, HOSTILE).click()
    for view in ("connections", "invocations", "tables?name=Notes", "tables?name=Connections", "queues?name=Jobs"):
        page.goto(f"{emulator.console}#/{view}")
        page.locator("main :is(.row, .card, summary)", has_text="img").first.wait_for()
        for summary in page.locator("main summary").all():
            summary.click()
    assert page.evaluate("[window.hacked, document.querySelectorAll('main img, main script').length]") == [None, 0]


def test_it_speaks_russian(emulator, person):
    page = person(locale="ru-RU").tab(emulator.console)
    expect(page.get_by_role("navigation", name="Разделы")).to_contain_text("Соединения")
    assert page.evaluate("document.documentElement.lang") == "ru"
