"""The model's tokens of a reply are booked whatever becomes of it: reserved before, settled after, for each attempt."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.chat.errors import ModelFailed
from handlers.chat.limits.budget import TokenUse
from handlers.chat.records import FinishReason, Usage
from handlers.chat.replies.deltas import Delta
from handlers.chat.replies.spending import Bill
from handlers.chat.store import StoreError
from handlers.chat.store.tables import ChatItem
from handlers.chat.turns.lifecycle import LEASE
from tests.support.conversation import ask
from tests.support.reply_worker import APOLOGY, LATER, NOON, STOP, TURN, ScriptedModel, make_reply, reply_worker

TODAY = "2026-11-23"
PROMPT = len("Как дела?".encode()) + 10
BUDGET = {"tokens_per_day": 10_000, "max_completion_tokens": 1_000}


def used(store):
    return store.users.token_use("alice", TODAY)


def kill(store):
    """The step of a model at which its worker is killed: nothing that it still wanted to do reaches the store."""

    def step():
        store.users.settle_tokens = lambda *_: True
        raise SystemExit

    return step


def make(store, gateway, *script, **more):
    model = ScriptedModel(*script)
    try:
        make_reply(store, gateway, model, **{**BUDGET, **more})
    except (ZeroDivisionError, SystemExit):
        pass
    finally:
        vars(store.users).pop("settle_tokens", None)
    return model


def bill():
    return Bill(prompt=100, longest=1_000, asked_at=NOON)


def after(seconds):
    return NOON + timedelta(seconds=seconds)


def total(*deltas, ended=NOON, opened=None):
    """Return the tokens of a bill with these deltas, all of which came at once."""
    opened = opened or bill()
    for delta in deltas:
        opened.add(delta, NOON)
    return opened.tokens(ended)


class TestABill:
    """The prompt is estimated at 100 tokens, the text has 9 bytes."""

    @pytest.mark.parametrize(
        ("usage", "tokens"),
        [
            (Usage(7, 3), 10),
            (Usage(7, 50_000), 50_007),  # thinking that is not shown
            (None, 109),
            (Usage(0, 0), 109),  # also a count of `{}` or with `total_tokens` alone
            (Usage(-7, -3), 109),
            (Usage(-(10**9), 3), 103),
            (Usage(7, -(10**9)), 16),
            (Usage(7, 0), 16),
            (Usage(0, 3), 103),
        ],
    )
    def test_is_what_the_server_counted_and_an_estimate_for_what_it_did_not(self, usage, tokens):
        assert total(Delta("မင်"), Delta("", None, usage)) == tokens

    def test_a_count_holds_for_the_text_that_came_with_it(self):
        assert total(Delta("Hello ", None, Usage(7, 1)), Delta("world", None, Usage(7, 2))) == 9

    def test_a_count_before_the_text_is_not_the_texts(self):
        assert total(Delta("", None, Usage(7, 1)), Delta("Hello")) == 7 + 5

    def test_of_nothing_is_the_prompt(self):
        assert total() == 100

    def test_of_a_question_that_nobody_bills_is_nothing(self):
        refused = bill()
        refused.billed = False
        assert total(opened=refused, ended=after(60)) == 0


class TestThinking:
    def test_that_is_shown_counts_like_text(self):
        assert total(Delta(thinking=40), Delta("Hello")) == 100 + 40 + 5

    def test_after_a_count_makes_it_too_small(self):
        assert total(Delta("Hi", None, Usage(7, 1)), Delta(thinking=40)) == 7 + 42

    def test_is_part_of_the_servers_count(self):
        assert total(Delta(thinking=40), Delta("Hello"), STOP, Delta("", None, Usage(7, 3))) == 10

    @pytest.mark.parametrize(("seconds", "tokens"), [(0, 0), (0.1, 300), (0.3, 900), (60, 1_000), (-60, 0)])
    def test_that_nobody_sees_is_bounded_by_its_time_and_by_the_longest_answer(self, seconds, tokens):
        assert total(ended=after(seconds)) == 100 + tokens

    def test_ends_with_the_first_text(self):
        opened = bill()
        opened.add(Delta(thinking=10), after(0.05))
        opened.add(Delta("Hello"), after(0.1))
        opened.add(Delta(" you"), after(60))
        assert opened.tokens(after(120)) == 100 + 300 + 9

    def test_may_go_on_after_an_early_count_without_text(self):
        assert total(Delta("", None, Usage(7, 1)), ended=after(0.1)) == 7 + 300

    def test_of_an_answer_that_ended_without_text_is_what_the_server_counted(self):
        assert total(Delta("", FinishReason.LENGTH, Usage(7, 400)), ended=after(60)) == 407

    @given(
        st.lists(st.tuples(st.integers(0, 150), st.integers(0, 3_000), st.floats(0, 1))),
        st.lists(st.text(max_size=20), max_size=5),
        st.integers(1, 3_000),
    )
    def test_is_booked_wherever_the_answer_is_cut_off(self, thoughts, texts, longest):
        """A model thinks for some milliseconds at some tokens a second, shows a part of it, and then writes."""
        opened, thought, at = Bill(prompt=100, longest=longest, asked_at=NOON), 0, 0.0
        for milliseconds, speed, share in thoughts:
            at += milliseconds / 1_000
            tokens = speed * milliseconds // 1_000
            thought += tokens
            opened.add(Delta(thinking=int(tokens * share)), after(at))
            assert opened.tokens(after(at)) >= 100 + min(thought, longest)
        for text in texts:
            at += 1
            opened.add(Delta(text), after(at))
        written = sum(len(text.encode()) for text in texts)
        assert opened.tokens(after(at)) >= 100 + min(thought + written, longest)


def test_the_most_that_an_answer_can_take_is_reserved_while_it_comes(store, gateway, chat):
    seen = []
    make(store, gateway, lambda: seen.append(used(store)), "Да", STOP)
    [during] = seen
    [reservation] = during.reservations
    assert during.tokens == reservation.tokens == PROMPT + 1_000
    assert used(store) == TokenUse(PROMPT + 4)


class TestWhateverBecomesOfIt:
    @pytest.mark.parametrize(
        ("script", "tokens"),
        [
            (["Да", Delta("", FinishReason.STOP, Usage(20, 3))], 23),
            (["Да", STOP, Delta("", None, Usage(20, 3))], 23),
            (["Да", STOP], PROMPT + 4),
            (["Да", STOP, Delta("", None, Usage(0, 0))], PROMPT + 4),
            (["Да", STOP, Delta("", None, Usage(-20, -3))], PROMPT + 4),
            (["Да", STOP, Delta("", None, Usage(20, 0))], 20 + 4),
            (["Да", ModelFailed("reset")], PROMPT + 4),
            ([ModelFailed("the model is silent")], PROMPT),
            ([ModelFailed("BadRequestError 400", billed=False)], 0),
            ([Delta(thinking=50), ModelFailed("reset")], PROMPT + 50),
            ([Delta(thinking=50), "Да", STOP], PROMPT + 54),
            (["Да", Delta("", None, Usage(20, 1)), "да", ModelFailed("reset")], 20 + 8),
            (["Да", ZeroDivisionError()], PROMPT + 4),
        ],
        ids=str,
    )
    def test_it_is_settled(self, store, gateway, chat, script, tokens):
        make(store, gateway, *script)
        assert used(store) == TokenUse(tokens)

    def test_a_reply_that_is_cancelled(self, store, gateway, chat):
        model = ScriptedModel("မင်္ဂလာပါ", lambda: store.turns.cancel("alice", "chat", "m2"))
        model.script += (model.until_stopped, "never")
        make_reply(store, gateway, model, **BUDGET)
        assert used(store) == TokenUse(PROMPT + 27)

    def test_a_chat_that_is_deleted(self, store, gateway, chat):
        model = ScriptedModel("Да", lambda: ChatItem("alice", "chat").delete())
        model.script += (model.until_stopped, "never")
        make_reply(store, gateway, model, **BUDGET)
        assert store.messages.get("chat", "m2") is None
        assert used(store) == TokenUse(PROMPT + 4)

    def test_a_turn_that_another_worker_took_counts_for_both(self, store, gateway, chat):
        make(store, gateway, "пер", lambda: make(store, gateway, "второй", STOP, now=LATER), STOP)
        assert store.messages.get("chat", "m2").content == "второй"
        assert used(store) == TokenUse(PROMPT + 6 + PROMPT + 12)

    def test_a_seal_that_fails(self, store, gateway, chat):
        def fails(*_):
            raise StoreError("throttled")

        store.turns.seal = fails
        with pytest.raises(StoreError):
            make(store, gateway, "Да", STOP)
        assert used(store) == TokenUse(PROMPT + 4)

    def test_three_attempts_that_raise_count_three_times(self, store, gateway, chat):
        for _ in range(4):
            make(store, gateway, "Да", ZeroDivisionError())
        assert used(store) == TokenUse(3 * (PROMPT + 4))


class TestAWorkerThatIsKilled:
    def test_leaves_its_reservation_for_the_day(self, store, gateway, chat):
        make(store, gateway, "Да", kill(store))
        assert used(store).tokens == PROMPT + 1_000
        assert store.users.token_use("alice", "2026-11-24") == TokenUse()

    def test_the_next_attempt_reserves_and_settles_its_own(self, store, gateway, chat):
        make(store, gateway, "Да", kill(store))
        [left_behind] = used(store).reservations
        make(store, gateway, "Да", STOP, now=LATER)
        assert used(store) == TokenUse(PROMPT + 1_000 + PROMPT + 4, frozenset([left_behind]))
        assert left_behind.attempt == "m2#1"

    def test_giving_up_does_not_settle_it(self, store, gateway, chat):
        make(store, gateway, "Да", kill(store))
        reply_worker(store, gateway, ScriptedModel(), [], now=NOON + 2 * LEASE, **BUDGET).give_up(TURN, lambda: 60.0)
        assert store.messages.get("chat", "m2").content == APOLOGY
        assert used(store).tokens == PROMPT + 1_000

    def test_its_reservation_can_end_the_day(self, store, gateway, chat):
        make(store, gateway, "Да", kill(store), tokens_per_day=1_000)
        model = make(store, gateway, "never", STOP, tokens_per_day=1_000, now=LATER)
        assert model.asked == []
        assert store.messages.get("chat", "m2").content == APOLOGY


class TestABudgetThatIsUsedUp:
    def test_between_the_acknowledgement_and_the_question_ends_in_the_apology(self, store, gateway, chat):
        make(store, gateway, "Да", Delta("", FinishReason.STOP, Usage(9_000, 1_000)))
        model = make(store, gateway, "never", turn=ask(store, "m3", "m4"))
        assert model.asked == []
        reply = store.messages.get("chat", "m4")
        assert (reply.content, reply.finish_reason) == (APOLOGY, FinishReason.ERROR)
        assert gateway.to("c1=")[-1]["data"]["content"] == APOLOGY
        assert used(store) == TokenUse(10_000)

    def test_one_token_that_is_left_is_enough_for_a_reply(self, store, gateway, chat):
        make(store, gateway, "Да", Delta("", FinishReason.STOP, Usage(9_000, 999)))
        assert make(store, gateway, "Да", STOP, turn=ask(store, "m3", "m4")).asked


class TestAStoreThatFails:
    @pytest.mark.parametrize("lost", [StoreError("no answer"), False], ids=["an error", "a no"])
    def test_a_reservation_whose_answer_is_lost_is_found_and_settled(self, store, gateway, chat, lost):
        lose_answer(store.users, "reserve_tokens", lost)
        make(store, gateway, "Да", STOP)
        assert store.messages.get("chat", "m2").content == "Да"
        assert used(store) == TokenUse(PROMPT + 4)

    @pytest.mark.parametrize("lost", [StoreError("no answer"), False], ids=["an error", "a no"])
    def test_a_settlement_whose_answer_is_lost_is_not_made_twice(self, store, gateway, chat, lost):
        lose_answer(store.users, "settle_tokens", lost)
        make(store, gateway, "Да", STOP)
        assert used(store) == TokenUse(PROMPT + 4)
        assert store.messages.get("chat", "m2").content == "Да"

    def test_what_cannot_be_settled_stays_reserved_and_the_reply_is_stored(self, store, gateway, chat):
        def fails(*_):
            raise StoreError("throttled")

        store.users.settle_tokens = fails
        make_reply(store, gateway, ScriptedModel("Да", STOP), **BUDGET)
        assert store.messages.get("chat", "m2").content == "Да"
        assert used(store).tokens == PROMPT + 1_000

    def test_nothing_is_asked_of_the_model_without_a_reservation(self, store, gateway, chat):
        def fails(*_):
            raise StoreError("throttled")

        store.users.reserve_tokens = fails
        model = ScriptedModel("never")
        with pytest.raises(StoreError):
            make_reply(store, gateway, model, **BUDGET)
        assert model.asked == []


def lose_answer(part, operation, lost):
    """Have the next call of an operation do its work, and answer something else."""
    method = getattr(part, operation)

    def call(*arguments):
        delattr(part, operation)
        method(*arguments)
        if isinstance(lost, Exception):
            raise lost
        return lost

    setattr(part, operation, call)


def test_without_a_budget_nothing_is_read_or_written_for_it(store, gateway, chat):
    store.users = None
    make_reply(store, gateway, ScriptedModel("Да", STOP))
    assert store.messages.get("chat", "m2").content == "Да"


def test_the_booked_day_is_the_one_on_which_the_answer_began(store, gateway, chat):
    moments = [NOON]
    model = ScriptedModel("Да", lambda: moments.append(NOON + timedelta(hours=12)), STOP)
    make_reply(store, gateway, model, now=lambda: moments[-1], **BUDGET)
    assert used(store) == TokenUse(PROMPT + 4)
    assert store.users.token_use("alice", "2026-11-24") == TokenUse()
