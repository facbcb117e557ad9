"""The model of a deployment whose settings are wrong: its worker starts, and the user gets the apology at once."""

from threading import Thread

import pytest

from handlers.chat.errors import Misconfigured, ModelFailed
from handlers.chat.identity import secrets
from handlers.chat.records import FinishReason, Role
from handlers.chat.replies.messages import PromptMessage
from handlers.chat.replies.model import UnusableModel, model_of
from handlers.chat.replies.prompt import Question
from handlers.chat.settings import Settings
from tests.support.completions_server import CompletionsServer
from tests.support.reply_worker import APOLOGY, make_reply

PROMPT = (PromptMessage(Role.USER, "Hi"),)


@pytest.fixture
def server():
    server = CompletionsServer()
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    server.body = b'data: {"choices": [{"index": 0, "delta": {"content": "ok"}, "finish_reason": "stop"}]}\n\n'
    yield server
    server.shutdown()
    server.server_close()


def settings(server):
    return Settings.of({"OPENAI_BASE_URL": f"http://127.0.0.1:{server.server_port}/v1"})


def answered(model):
    return "".join(delta.text for delta in model.answer(Question(PROMPT)))


def failure(model):
    with pytest.raises(ModelFailed) as caught:
        answered(model)
    return str(caught.value)


@pytest.mark.parametrize("key", ["sk-1", "sk-1\n", " sk-1\r\n"])
def test_a_key_loses_the_newline_of_the_file_that_it_comes_from(server, key):
    assert answered(model_of(settings(server), {}, key)) == "ok"
    assert server.authorizations == ["Bearer sk-1"]


def test_a_key_in_a_store_loses_it_too_and_is_read_again_after_it_was_replaced(server, monkeypatch):
    keys = ["sk-1\n", "sk-1\n", "sk-2\n"]
    monkeypatch.setattr(secrets, "value_of", lambda setting: keys.pop(0))
    model = model_of(settings(server), {}, "ssm:/key")
    assert [answered(model), answered(model)] == ["ok", "ok"]
    assert server.authorizations == ["Bearer sk-1", "Bearer sk-2"]


def test_a_key_that_cannot_be_read_fails_each_answer_until_it_can(server, monkeypatch):
    readable = False

    def value_of(setting):
        if not readable:
            raise Misconfigured(f"The secret {setting} cannot be read")
        return "sk-1"

    monkeypatch.setattr(secrets, "value_of", value_of)
    model = model_of(settings(server), {}, "ssm:/key")
    assert failure(model) == "The secret ssm:/key cannot be read"
    readable = True
    assert answered(model) == "ok"


def test_a_key_that_no_header_can_hold_fails_each_answer(server):
    assert "ключ" not in failure(model_of(settings(server), {}, "ключ"))


def test_a_wrong_setting_fails_each_answer_and_is_named(server):
    assert failure(model_of(settings(server), {"HISTORY_CHARS": "…"}, "sk-1")) == "wrong settings: HISTORY_CHARS"
    assert server.requests == []


def test_a_client_that_cannot_be_built_fails_each_answer(server, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "gopher://proxy")
    monkeypatch.setenv("http_proxy", "gopher://proxy")
    assert failure(model_of(settings(server), {}, "sk-1")).startswith(
        "the client of the model's server cannot be built"
    )


@pytest.mark.usefixtures("chat")
def test_the_user_gets_the_apology(store, gateway):
    make_reply(store, gateway, UnusableModel("wrong settings: HISTORY_CHARS"))
    reply = store.messages.get("chat", "m2")
    assert (reply.content, reply.finish_reason) == (APOLOGY, FinishReason.ERROR)
