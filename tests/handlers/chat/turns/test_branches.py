"""Branches of a chat: what is refused, what devices hear, and the races of two devices in every interleaving."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers.chat.protocol import frames, views
from handlers.chat.records import NOTHING, Branch, Message, Role
from handlers.chat.turns import branches, lifecycle
from tests.faults.seeds import seed_bug
from tests.faults.simulation import services
from tests.faults.simulation.interleaving import SteppedStore, interleave
from tests.faults.simulation.store import SimulatedStore
from tests.support.branching import BranchedChat, Operation
from tests.support.conversation import NOON


@pytest.fixture
def branched():
    """A chat of two questions and their replies: m0001 to m0004."""
    return conversation(2)


def conversation(questions):
    branched = BranchedChat(SimulatedStore())
    for _ in range(questions):
        turn(branched, "message")
    return branched


def turn(branched, kind, about=None, name="c1="):
    """Do something that begins a turn, and let it end. Returns the id of the reply."""
    branched.does(name, Operation(kind, about))
    branched.finish()
    return branched.tree.leaf


class TestRefusals:
    @pytest.mark.parametrize("about", ["m9999", "m0002"], ids=["no message", "a reply"])
    def test_only_a_message_of_the_user_is_edited(self, branched, about):
        [error] = branched.frames(branched.store, "c1=", "edit", messageId=about, message="Hi", clientMessageId="tag")
        assert (error.code, error.client_message_id) == ("nothing_to_edit", "tag")

    def test_a_message_of_another_chat_is_not_found(self, branched):
        other = Message("other", "o1", Role.USER, "Hi", NOON)
        branched.store.tables.messages["other"] = {"o1": other}
        for kind, code in (("edit", "nothing_to_edit"), ("select", "nothing_to_select")):
            data = {"messageId": "o1"} | ({"message": "Hi"} if kind == "edit" else {})
            [error] = branched.frames(branched.store, "c1=", kind, **data)
            assert error.code == code

    def test_while_a_reply_runs_nothing_is_edited_or_selected(self, branched):
        turn(branched, "regenerate")
        branched.does("c1=", Operation("message"))
        for operation in (Operation("edit", "m0001"), Operation("select", "m0004"), Operation("regenerate")):
            assert branched.expected(operation) == "busy"
            branched.does("c2=", operation)

    def test_a_message_that_is_not_shown_is_not_edited(self, branched):
        turn(branched, "edit", "m0001")
        branched.does("c1=", Operation("edit", "m0003"))
        assert branched.expected(Operation("edit", "m0003")) == "nothing_to_edit"

    def test_a_fork_of_another_branch_is_not_selected(self, branched):
        turn(branched, "regenerate")  # m0005, beside m0004
        turn(branched, "edit", "m0001")
        branched.does("c1=", Operation("select", "m0004"))
        assert branched.expected(Operation("select", "m0004")) == "nothing_to_select"

    @pytest.mark.parametrize("text", ["", "  ", "x" * 100_000], ids=["empty", "blank", "long"])
    def test_its_text_is_checked_like_that_of_any_message(self, branched, text):
        [error] = branched.frames(branched.store, "c1=", "edit", messageId="m0003", message=text)
        assert error.code in ("message_empty", "message_too_large")
        branched.check()

    def test_a_message_has_fifty_siblings_at_most(self, branched):
        for _ in range(branches.MAX_SIBLINGS - 1):
            turn(branched, "regenerate")
        last = branched.tree.leaf
        assert len(branched.tree.siblings(last)) == branches.MAX_SIBLINGS
        [error] = branched.frames(branched.store, "c1=", "regenerate")
        assert error.code == "too_many_branches"
        branched.check()
        turn(branched, "message")
        turn(branched, "regenerate")


class TestEdits:
    def test_the_device_and_the_others_hear_what_is_replaced(self, branched):
        branched.does("c1=", Operation("edit", "m0003"))
        [*_, told] = branched.told["c2="]
        assert (told.type, told.replaces, told.role) == ("user_message", "m0003", "user")
        branched.check()

    def test_one_that_is_sent_again_is_acknowledged_again(self, branched):
        data = {"messageId": "m0003", "message": "Hi", "clientMessageId": "mine"}
        [first] = branched.frames(branched.store, "c1=", "edit", **data)
        [busy] = branched.frames(branched.store, "c1=", "edit", **data)
        branched.tree.add(first.message_id, Role.USER, "m0002")
        branched.finish()
        [later] = branched.frames(branched.store, "c1=", "edit", **data)
        for again in (busy, later):
            assert (again.message_id, again.duplicate, again.replaces) == (first.message_id, True, "m0003")
        branched.check()

    def test_the_first_message_has_nothing_before_it(self, branched):
        turn(branched, "edit", "m0001")
        first = branched.store.messages.get("chat", branched.tree.path()[0])
        assert (first.after, first.fork) == (NOTHING, "m0001")
        branched.check()

    def test_an_edit_of_an_edit_is_a_sibling_of_both(self, branched):
        turn(branched, "edit", "m0003")
        turn(branched, "edit", "m0005")
        assert branched.pages()[2].siblings == ("m0003", "m0005", "m0007")


class TestSelections:
    def test_a_branch_is_shown_to_where_it_was_left(self, branched):
        turn(branched, "edit", "m0001")
        turn(branched, "message")
        left = branched.tree.path()
        branched.does("c2=", Operation("select", "m0001"))
        assert branched.tree.path() == ["m0001", "m0002", "m0003", "m0004"]
        branched.check()
        branched.does("c1=", Operation("select", left[0]))
        assert branched.tree.path() == left
        branched.check()

    def test_all_devices_hear_of_it_and_a_second_one_changes_nothing(self, branched):
        turn(branched, "regenerate")
        branched.does("c1=", Operation("select", "m0004"))
        [*_, told] = branched.told["c2="]
        assert told == frames.BranchSelected(chat_id="chat", message_id="m0004")
        before = branched.chat
        branched.does("c1=", Operation("select", "m0004"))
        assert branched.chat == before

    def test_a_message_after_a_branch_that_is_not_the_newest_says_so(self, branched):
        turn(branched, "regenerate")
        branched.does("c1=", Operation("select", "m0004"))
        turn(branched, "message")
        question = branched.store.messages.get("chat", branched.tree.path()[-2])
        assert (question.after, question.fork, branched.chat.leaf) == ("m0004", None, None)
        branched.check()

    def test_the_shown_reply_is_the_one_that_is_made_anew(self, branched):
        turn(branched, "regenerate")
        branched.does("c1=", Operation("select", "m0004"))
        turn(branched, "regenerate")
        assert branched.tree.siblings("m0004") == ["m0004", "m0005", "m0006"]
        branched.check()


class TestReplies:
    def test_one_that_is_not_shown_is_not_resumed(self, branched):
        turn(branched, "regenerate")
        for message_id, kinds in (("m0004", []), ("m0005", ["assistant_message_start", "assistant_message_complete"])):
            resume = {"messageId": message_id, "offset": 0}
            answers = branched.frames(branched.store, "c1=", "join_chat", token="alice", chatId="chat", resume=resume)
            assert [each.type for each in answers[2:] if each.type != "assistant_message_token"] == kinds

    def test_a_device_that_was_shown_another_branch_is_shown_the_chat_again(self, branched):
        turn(branched, "regenerate")
        seen = branched.chat
        branched.does("c1=", Operation("select", "m0004"))
        connection = branched.store.connections.get("c2=")
        assert not branched.store.chats.subscribe(connection, seen, lifecycle.Subscription("j"))


def test_a_page_with_many_siblings_fits_into_a_frame():
    newest = [Message("chat", f"{number:036}", Role.USER, "x" * 500, NOON) for number in range(200, 100, -1)]
    family = tuple(f"{number:036}" for number in range(50))
    shown, more = views.page(newest, 50, lambda _: True, lambda found: {each.message_id: family for each in found})
    assert (more, shown[-1].message_id) == (True, f"{200:036}")
    assert 10 < len(shown) < 50
    frame = frames.History(chat_id="chat", messages=shown, has_more=more)
    assert len(frames.encode(frames.as_json(frame))) <= frames.MAX_FRAME_BYTES
    big = [Message("chat", "m1", Role.USER, "x" * 30_000, NOON)]
    [alone], _ = views.page(big, 50, lambda _: False, lambda found: {"m1": family})
    assert (alone.siblings, len(alone.content)) == (None, 30_000)


@pytest.mark.parametrize(
    ("leaf", "found"),
    [
        ("m4", [("m3", "m4"), ("", "m1")]),
        ("m5", [("m5", "m5"), ("", "m2")]),
        ("m2", [("", "m2")]),
        ("m8", [("m7", "m8")]),
        ("m9", [("m9", "m9"), ("m3", "m4"), ("", "m1")]),
    ],
)
def test_a_path_consists_of_runs(leaf, found):
    begun = [Branch("m9", "m4"), Branch("m7", NOTHING), Branch("m5", "m2"), Branch("m3", "m1")]
    assert list(branches.runs_of(leaf, [each for each in begun if each.first <= leaf])) == found


OPERATIONS = {
    "send": Operation("message"),
    "edit": Operation("edit", "m0001"),
    "edit a later one": Operation("edit", "m0003"),
    "regenerate": Operation("regenerate"),
    "select": Operation("select", "m0004"),
}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(OPERATIONS)), st.sampled_from(sorted(OPERATIONS)), st.data())
def test_of_two_devices_that_change_a_chat_at_once_one_does_and_the_other_is_refused(one, other, data):
    branched = conversation(2)
    turn(branched, "regenerate")
    before, codes = branched.chat, []

    def act(name, operation):
        answers = branched.frames(SteppedStore(branched.store), name, operation.kind, **operation.data(name))
        codes.extend(each.code.value for each in answers if isinstance(each, frames.Error))

    tasks = [partial(act, "c1=", OPERATIONS[one]), partial(act, "c2=", OPERATIONS[other])]
    interleave(tasks, lambda ready: data.draw(st.integers(0, ready - 1)), lambda: None)
    chat = branched.chat
    if "select" not in (one, other):
        # Of a message that another edit has left in the meantime, some interleavings say just that.
        assert codes in (["busy"], ["nothing_to_edit"])
    # A selection changes the path for whoever comes after it. Then both may be done, one after the other.
    assert codes in ([], ["busy"], ["nothing_to_edit"], ["nothing_to_select"])
    assert len(codes) + (chat.turn is not None) + (chat.branches > before.branches) >= 1
    if chat.turn is not None:
        branched.finish_unseen()
    path = [each.message_id for each in branched.store.messages.newest_first("chat", leaf=branched.chat.leaf)]
    assert [each.message_id for each in branched.pages()] == path[::-1]


def race_each_call(branched):
    for at in range(12):
        branched.races(Operation("message"), Operation("select", "m0004"), at, finishes=True)
        if branched.running:
            branched.finish()
        branched.check()
        shown = branched.tree.shown_sibling("m0004")
        branched.does("c1=", Operation("select", next(each for each in ("m0005", "m0004") if each != shown)))


def test_a_message_goes_where_the_path_ends_when_it_is_stored():
    branched = conversation(2)
    turn(branched, "regenerate")
    race_each_call(branched)


def test_this_finds_a_message_that_is_stored_whichever_branch_is_shown(monkeypatch):
    def careless(is_free):
        return lambda now, read: now.turn is None and now.last_message_id == read.last_message_id

    seed_bug(monkeypatch, services, "is_free", careless)
    branched = conversation(2)
    turn(branched, "regenerate")
    with pytest.raises(AssertionError):
        race_each_call(branched)


def test_this_finds_a_branch_whose_end_is_not_noted(monkeypatch):
    seed_bug(monkeypatch, branches, "_left", lambda _: lambda fork, *_: fork)
    branched = conversation(2)
    turn(branched, "edit", "m0001")
    branched.frames(branched.store, "c1=", "select", messageId="m0001")
    branched.tree.show("m0004")
    with pytest.raises(AssertionError):
        branched.check()
