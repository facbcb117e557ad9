"""The values that an assistant may have."""

import functools

import pytest

from handlers.chat.assistants import Assistant
from handlers.chat.assistants.assistant import (
    MAX_INSTRUCTIONS_CHARS,
    MAX_STARTER_CHARS,
    MAX_STARTERS,
    MAX_TITLE_CHARS,
    OWN_FIELDS,
    check_instructions,
)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"title": "Помощник 👩‍🚀", "instructions": "Be brief.\n\tAlways.", "model": "gpt-4o-mini"},
        {"title": {"en": "Tea", "ru": "Чай"}, "starters": ("Which tea?",)},
        {"title": "x" * MAX_TITLE_CHARS, "starters": ["x" * MAX_STARTER_CHARS] * MAX_STARTERS},
        {"temperature": 0, "max_completion_tokens": 1, "history_chars": 1},
        {"temperature": 2.0, "max_completion_tokens": 1_000_000, "history_chars": 10_000_000},
        {"parameters": {"top_p": 0.5, "response_format": {"type": "json_object"}, "stop": ["\n"], "seed": None}},
        {"instructions": lambda user, chat: ""},
        {"on_question": lambda text: text, "on_answer": lambda text, context: text, "answer_window": 10_000},
        {"on_question": str.strip, "on_answer": functools.partial(lambda of, text: text, "x")},
        {"on_question": lambda text, *, context=None: text, "on_answer": lambda *texts: texts[0]},
        {"instructions": "x" * MAX_INSTRUCTIONS_CHARS},
    ],
)
def test_what_can_be_used_is_taken(said):
    assistant = Assistant(**said)
    assert {name: getattr(assistant, name) for name in said} == said


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"title": "x" * (MAX_TITLE_CHARS + 1)}, "title has 'xxx"),
        ({"title": "two\nlines"}, "title has 'two"),
        ({"title": 5}, "title has 5"),
        ({"title": {"en": None}}, "title has None"),
        ({"title": "\ud800"}, "title has half of a surrogate pair"),
        ({"starters": "What can you do?"}, "starters is no tuple; set it to a tuple of texts"),
        ({"starters": ("a",) * (MAX_STARTERS + 1)}, "starters has 11 texts; set it to 10 at most"),
        ({"starters": ("x" * (MAX_STARTER_CHARS + 1),)}, "starters has 'xxx"),
        ({"starters": (None,)}, "starters has None"),
        ({"instructions": None}, "instructions is of the type NoneType"),
        ({"instructions": "x" * (MAX_INSTRUCTIONS_CHARS + 1)}, "instructions has 100001 characters"),
        ({"instructions": "\udfff"}, "instructions has half of a surrogate pair"),
        ({"model": ""}, "model is ''; set it to the name of a model"),
        ({"model": 4}, "model is 4;"),
        ({"temperature": 2.1}, "temperature is 2.1; set it to a number from 0 to 2, or leave it out"),
        ({"temperature": True}, "temperature is True"),
        ({"temperature": "0.7"}, "temperature is '0.7'"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"max_completion_tokens": 0}, "max_completion_tokens is 0; set it to a whole number from 1"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens is 1.5"),
        ({"history_chars": -1}, "history_chars is -1"),
        ({"on_question": "no"}, "on_question is of the type str; set it to a function, or leave it out"),
        ({"on_question": lambda: ""}, "on_question must take a text, or a text and a HookContext"),
        ({"on_answer": lambda text, context, more: ""}, "on_answer must take a text, or a text and a HookContext"),
        ({"on_answer": lambda text: (yield text)}, "on_answer yields its texts; let it return one"),
        ({"max_steps": 0}, "max_steps is 0; set it to a whole number from 1 to 32"),
        ({"max_steps": 33}, "max_steps is 33;"),
        ({"answer_window": 0}, "answer_window is 0; set it to a whole number from 1 to 10000"),
        ({"parameters": None}, "parameters is no mapping"),
        ({"parameters": {"stop": {1}}}, "parameters cannot be sent as JSON"),
        ({"parameters": {"top_p": float("nan")}}, "parameters cannot be sent as JSON"),
        *(
            ({"parameters": {name: 1}}, f"parameters has {name}, which the worker sets itself")
            for name in sorted(OWN_FIELDS)
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_name_of_the_field(said, reason):
    with pytest.raises(ValueError, match=r"\w") as refusal:
        Assistant(**said)
    assert str(refusal.value).startswith(reason)


@pytest.mark.parametrize(
    ("title", "language", "shown"),
    [
        ("Tea", "ru", "Tea"),
        ("", "en", "tea"),
        ({"en": "Tea", "ru": "Чай"}, "ru", "Чай"),
        ({"en": "Tea"}, "ru", "Tea"),
        ({"en": "", "de": "Tee"}, "en", "Tee"),
        ({}, "en", "tea"),
    ],
)
def test_a_title_is_shown_in_the_language_of_the_deployment_if_there_is_one(title, language, shown):
    assert Assistant(title=title, id="tea").title_in(language) == shown


@pytest.mark.parametrize("text", [None, b"bytes", 5, "\ud800", "x" * (MAX_INSTRUCTIONS_CHARS + 1)])
def test_instructions_that_cannot_be_sent_are_refused(text):
    with pytest.raises(ValueError, match="instructions"):
        check_instructions(text)
