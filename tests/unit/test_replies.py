"""How a reply comes to be: with a model and a gateway made for the test, and moto's DynamoDB."""

import json
from collections import Counter
from datetime import UTC, datetime
from itertools import accumulate

import pytest

from handlers.chat.errors import ConnectionGone, ModelFailed, PostFailed
from handlers.chat.frames import ChatUpdated, FinishReason, Role, Usage
from handlers.chat.model import Delta
from handlers.chat.replies import Replies
from handlers.chat.store import Chat, Connection, Message
from handlers.chat.texts import RUSSIAN
from handlers.chat.turns import Turn

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
APOLOGY = "Извините, произошла ошибка при обработке вашего сообщения."
TURN = Turn("alice", "chat", "m2")


class Gateway:
    """Keeps what is posted to each connection; one of `gone` answers 410, one `throttled` fails so many times."""

    def __init__(self):
        self.gone = set()
        self.throttled = Counter()
        self.frames = []

    def post(self, connection_id, text):
        if connection_id in self.gone:
            raise ConnectionGone(connection_id)
        if self.throttled[connection_id]:
            self.throttled[connection_id] -= 1
            raise PostFailed("LimitExceededException")
        self.frames.append((connection_id, json.loads(text)))

    def to(self, connection_id):
        return [frame for receiver, frame in self.frames if receiver == connection_id]


class Model:
    """Says what it is told to, and fails where it is told to."""

    def __init__(self, *script):
        self.script = script
        self.asked = []

    def stream(self, prompt):
        self.asked.append([(role.value, text) for role, text in prompt])
        for step in self.script:
            if isinstance(step, Exception):
                raise step
            yield step if isinstance(step, Delta) else Delta(step)


@pytest.fixture
def gateway():
    return Gateway()


@pytest.fixture
def chat(store):
    store.add_chat(Chat("alice", "chat"), NOON)
    store.accept("alice", Message("chat", "m1", Role.USER, "Как дела?", NOON))
    for name in ("c1=", "c2="):
        store.add_connection(Connection(name, NOON))
        store.subscribe("alice", "chat", name)
        store.bind_connection(name, "alice", "chat")


def make(store, gateway, model, turn=TURN, history_chars=1_000):
    sent = []
    Replies(
        store,
        gateway,
        model,
        RUSSIAN,
        history_chars,
        0.0,
        lambda user, frame: sent.append((user, frame)),
        now=lambda: NOON,
    ).make(turn)
    return sent


def text_of(frames):
    return "".join(frame["data"]["token"] for frame in frames if frame["type"] == "assistant_message_token")


def test_every_device_in_the_chat_sees_the_reply_in_order(store, gateway, chat):
    model = Model(
        "Хорошо",
        ", ",
        "спасибо",
        Delta("", FinishReason.STOP),
        Delta(usage=Usage(prompt_tokens=5, completion_tokens=3)),
    )
    make(store, gateway, model)
    for device in ("c1=", "c2="):
        start, *tokens, complete = gateway.to(device)
        assert start["type"] == "assistant_message_start"
        assert text_of(tokens) == "Хорошо, спасибо"
        offsets = [0, *accumulate(len(token["data"]["token"]) for token in tokens)]
        assert [token["data"]["offset"] for token in tokens] == offsets[:-1]
        assert complete["type"] == "assistant_message_complete"
        assert complete["data"]["content"] == "Хорошо, спасибо"
        assert complete["data"]["usage"] == {"promptTokens": 5, "completionTokens": 3}
        assert {frame["data"]["messageId"] for frame in gateway.to(device)} == {"m2"}


def test_the_reply_is_stored_before_it_is_called_complete(store, gateway, chat):
    stored_at_completion = []
    post = gateway.post

    def watch(connection_id, text):
        if b"assistant_message_complete" in text:
            stored_at_completion.append(store.message("chat", "m2").content)
        post(connection_id, text)

    gateway.post = watch
    make(store, gateway, Model("Да", Delta("", FinishReason.STOP)))
    assert stored_at_completion == ["Да", "Да"]


def test_the_model_sees_the_history_oldest_first(store, gateway, chat):
    make(store, gateway, first := Model("Хорошо", Delta("", FinishReason.STOP)))
    store.accept("alice", Message("chat", "m3", Role.USER, "А у кота?", NOON))
    make(store, gateway, second := Model("Тоже", Delta("", FinishReason.STOP)), Turn("alice", "chat", "m4"))
    assert first.asked == [[("user", "Как дела?")]]
    assert second.asked == [[("user", "Как дела?"), ("assistant", "Хорошо"), ("user", "А у кота?")]]


def test_the_model_does_not_see_what_was_asked_after_the_question(store, gateway, chat):
    store.accept("alice", Message("chat", "m3", Role.USER, "Уже другое", NOON))
    make(store, gateway, model := Model("Хорошо", Delta("", FinishReason.STOP)))
    assert model.asked == [[("user", "Как дела?")]]


def test_the_model_never_sees_more_than_the_budget(store, gateway, chat):
    store.accept("alice", Message("chat", "m1a", Role.USER, "x" * 90, NOON))
    make(store, gateway, model := Model("ok", Delta("", FinishReason.STOP)), history_chars=95)
    assert model.asked == [[("user", "x" * 90)]]


class TestTitle:
    def test_the_first_exchange_names_the_chat_everywhere(self, store, gateway, chat):
        sent = make(store, gateway, Model("Хорошо", Delta("", FinishReason.STOP)))
        assert sent == [("alice", ChatUpdated(chat_id="chat", title="Как дела?"))]
        assert store.chat("alice", "chat").title == "Как дела?"

    def test_later_exchanges_do_not(self, store, gateway, chat):
        make(store, gateway, Model("Хорошо", Delta("", FinishReason.STOP)))
        store.accept("alice", Message("chat", "m3", Role.USER, "И ещё", NOON))
        sent = make(store, gateway, Model("Да", Delta("", FinishReason.STOP)), Turn("alice", "chat", "m4"))
        assert sent == []
        assert store.chat("alice", "chat").title == "Как дела?"

    @pytest.mark.parametrize(("length", "shown"), [(50, "x" * 50), (51, "x" * 50 + "...")])
    def test_a_title_has_at_most_fifty_characters_and_dots(self, store, gateway, length, shown):
        store.add_chat(Chat("alice", "chat"), NOON)
        store.accept("alice", Message("chat", "m1", Role.USER, "x" * length, NOON))
        make(store, gateway, Model("ok", Delta("", FinishReason.STOP)))
        assert store.chat("alice", "chat").title == shown


class TestFailingModel:
    def test_before_the_first_token_the_apology_is_the_reply(self, store, gateway, chat):
        make(store, gateway, Model(ModelFailed("503")))
        start, *tokens, complete = gateway.to("c1=")
        assert (start["type"], text_of(tokens)) == ("assistant_message_start", APOLOGY)
        assert (complete["data"]["content"], complete["data"]["finishReason"]) == (APOLOGY, "error")
        assert store.message("chat", "m2").content == APOLOGY

    def test_in_the_middle_the_apology_follows_what_was_said(self, store, gateway, chat):
        make(store, gateway, Model("Хоро", "шо", ModelFailed("cut")))
        complete = gateway.to("c1=")[-1]
        assert complete["data"]["content"] == f"Хорошо\n\n{APOLOGY}"
        assert text_of(gateway.to("c1=")) == complete["data"]["content"]
        assert store.message("chat", "m2").finish_reason is FinishReason.ERROR

    def test_its_own_reasons_to_end_are_passed_on(self, store, gateway, chat):
        make(store, gateway, Model("Хоро", Delta("", FinishReason.LENGTH)))
        assert gateway.to("c1=")[-1]["data"]["finishReason"] == "length"


class TestConnections:
    def test_one_that_is_gone_is_forgotten_and_harms_nobody(self, store, gateway, chat):
        gateway.gone = {"c1="}
        make(store, gateway, Model("a", "b", Delta("", FinishReason.STOP)))
        assert text_of(gateway.to("c2=")) == "ab"
        assert store.connection("c1=") is None
        assert store.chat("alice", "chat").subscribers == {"c2="}

    def test_one_that_is_gone_without_a_row_leaves_the_chat_as_well(self, store, gateway, chat):
        store.subscribe("alice", "chat", "ghost=")
        gateway.gone = {"ghost="}
        make(store, gateway, Model("a", Delta("", FinishReason.STOP)))
        assert store.chat("alice", "chat").subscribers == {"c1=", "c2="}

    def test_one_that_is_throttled_gets_everything_later(self, store, gateway, chat):
        gateway.throttled["c1="] = 2
        make(store, gateway, Model("a", "b", Delta("", FinishReason.STOP)))
        for device in ("c1=", "c2="):
            assert text_of(gateway.to(device)) == "ab"
            assert gateway.to(device)[-1]["data"]["content"] == "ab"
        assert store.connection("c1=") is not None

    def test_one_that_joins_in_the_middle_gets_the_whole_at_the_end(self, store, gateway, chat):
        class Joining(Model):
            def stream(self, prompt):
                yield Delta("a")
                store.subscribe("alice", "chat", "late=")
                yield Delta("b", FinishReason.STOP)

        make(store, gateway, Joining())
        [complete] = gateway.to("late=")
        assert (complete["type"], complete["data"]["content"]) == ("assistant_message_complete", "ab")


class TestInvokedTwice:
    def test_a_sealed_reply_is_announced_again_and_the_model_not_asked(self, store, gateway, chat):
        make(store, gateway, Model("первый", Delta("", FinishReason.STOP)))
        gateway.frames.clear()
        make(store, gateway, again := Model("второй", Delta("", FinishReason.STOP)))
        assert again.asked == []
        [complete] = gateway.to("c1=")
        assert complete["data"]["content"] == "первый"

    def test_both_at_once_store_one_reply_and_announce_the_same(self, store, gateway, chat):
        class Overtaken(Model):
            def stream(self, prompt):
                make(store, gateway, Model("первый", Delta("", FinishReason.STOP)))
                yield Delta("второй", FinishReason.STOP)

        make(store, gateway, Overtaken())
        completes = [frame for frame in gateway.to("c1=") if frame["type"] == "assistant_message_complete"]
        assert [frame["data"]["content"] for frame in completes] == ["первый", "первый"]
        assert store.chat("alice", "chat").message_count == 2


def test_a_chat_deleted_before_the_reply_ends_the_turn_quietly(store, gateway):
    make(store, gateway, model := Model("a", Delta("", FinishReason.STOP)))
    assert (model.asked, gateway.frames) == ([], [])


def test_a_long_piece_is_cut_to_fit_into_frames_and_a_long_reply_completes_without_text(store, gateway, chat):
    text = "\x01𐍈" * 20_000
    make(store, gateway, Model(text, Delta("", FinishReason.STOP)))
    frames = gateway.to("c1=")
    assert text_of(frames) == text
    assert max(len(json.dumps(frame, ensure_ascii=False).encode()) for frame in frames) <= 32 * 1024
    assert (frames[-1]["data"]["content"], frames[-1]["data"]["length"]) == (None, 60_000)
