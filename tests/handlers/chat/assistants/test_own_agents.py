"""Own agents as their files give them: what is checked when they are given, and what they may yield."""

from functools import partial

import pytest

from handlers.chat.assistants import Assistant, Call, ChatMessage, Delta, Source, Turn, Usage
from handlers.chat.assistants.registry import load
from tests.support.assistant_files import DEFAULT, assistant_files


async def good(turn):
    yield "Hi."


async def answers(turn):
    return "Hi."


def plain(turn):
    yield "Hi."


async def wants_more(turn, other):
    yield "Hi."


async def keyword(*, turn):
    yield "Hi."


@pytest.mark.parametrize(
    "reply",
    [good, partial(wants_more, other=1), lambda turn: good(turn)],
    ids=["a generator", "a partial", "a function that returns one"],
)
def test_an_agent_can_be(reply):
    assert Assistant(reply=reply).reply is reply


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        ("Hi.", "reply is of the type str; set it to `async def reply"),
        (answers, "reply returns its answer; let it yield"),
        (plain, "reply is no coroutine; write `async def reply"),
        (wants_more, "reply cannot be called with the turn alone"),
        (keyword, "reply cannot be called with the turn alone"),
        (partial(answers), "reply returns its answer; let it yield"),
    ],
    ids=["text", "answers", "plain", "more", "keyword", "partial"],
)
def test_an_agent_cannot_be(reply, problem):
    with pytest.raises(ValueError, match=problem):
        Assistant(reply=reply)


def look(word: str) -> str:
    return word


@pytest.mark.parametrize(("name", "value"), [("temperature", 0.0), ("parameters", {"top_p": 1}), ("tools", (look,))])
def test_a_field_that_nobody_would_read_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} is for the model"):
        Assistant(reply=good, **{name: value})


FILE = "async def reply(turn):\n    yield 'Hi.'\n"


class TestAFile:
    @pytest.mark.parametrize(
        "text",
        [
            FILE,
            f"from handlers.chat.assistants import Assistant\n{FILE}assistant = Assistant(title='A')\n",
            f"from handlers.chat.assistants import Assistant\n{FILE}assistant = Assistant(reply=reply)\n",
        ],
        ids=["alone", "beside an assistant", "named"],
    )
    def test_its_function_reply_is_its_agent(self, tmp_path, text):
        with assistant_files(tmp_path, {"default.py": DEFAULT, "own.py": text}) as package:
            loaded = load(package)
        assert loaded.broken == {}
        assert loaded.get("own").reply.__name__ == "reply"
        assert loaded.get("default").reply is None

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("def reply(turn):\n    yield 'Hi.'\n", "write `async def reply(turn)`"),
            ("reply = 'Hi.'\n", "reply is of the type str"),
            (
                f"from handlers.chat.assistants import Assistant\n{FILE}assistant = Assistant(temperature=1)\n",
                "temperature is for the model",
            ),
        ],
        ids=["plain", "text", "temperature"],
    )
    def test_an_agent_that_cannot_be_breaks_it(self, tmp_path, text, problem):
        with assistant_files(tmp_path, {"default.py": DEFAULT, "own.py": text}) as package:
            [(file, said)] = load(package).broken.items()
        assert file.endswith("/own.py")
        assert problem in said


class TestValues:
    @pytest.mark.parametrize(
        ("make", "problem"),
        [
            (lambda: Delta(5), "Delta has a text of the type int"),
            (lambda: Delta(reasoning=None), "Delta has a reasoning of the type NoneType"),
            (lambda: Delta(source="https://example.com"), "Delta has a source of the type str; give it a Source"),
            (lambda: Delta(call={"id": "x"}), "Delta has a call of the type dict; give it a Call"),
            (lambda: Delta(usage=Usage(-1, 0)), "usage has the count -1"),
            (lambda: Delta(finish_reason="cancelled"), "Delta has the finish_reason 'cancelled'"),
            (lambda: Source(""), "Source has no url"),
            (lambda: Source("u", title=None), "Source has a title of the type NoneType"),
            (lambda: Call("", "search"), "Call has no id or no name"),
            (lambda: Call("x", "search", state="waiting"), "Call has the state 'waiting'"),
            (lambda: Call("x", "search", result={}), "Call has a result of the type dict"),
            (lambda: Call("x", "search", {"of": object}), "not JSON serializable"),
        ],
        ids=[
            *("text", "reasoning", "source", "call", "usage", "reason"),
            *("no url", "title", "no id", "state", "result", "arguments"),
        ],
    )
    def test_what_cannot_be_shown_is_refused_where_it_is_made(self, make, problem):
        with pytest.raises((TypeError, ValueError), match=problem):
            make()

    def test_a_turn_of_a_test_has_what_the_test_needs(self):
        assert Turn().question == ""
        assert Turn(messages=(ChatMessage("user", "a"), ChatMessage("assistant", "b"))).question == "b"
