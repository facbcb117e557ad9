"""The schemas of tools, and the arguments that a model gives."""

import threading
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, Field

from handlers.chat.assistants import Assistant, ToolContext, tool
from handlers.chat.replies.docstrings import described
from handlers.chat.replies.schemas import MAX_PROBLEMS
from handlers.chat.replies.tool_calls import WrongCall
from handlers.chat.replies.toolbox import MAX_ARGUMENTS_BYTES, Toolbox, toolboxes
from tests.support.tool_values import BrokenType, Colour, Place, Size


def weather(city: Annotated[str, Field(description="As people write it.")], days: int = 1) -> str:
    """Tell the weather of a city.

    It is a guess.

    Args:
        city: Is described by its annotation.
        days (int, optional): How far to look,
            in days.

    Returns:
        One sentence.

    Raises:
        ValueError: For no city.
    """
    return f"{city} {days}"


def parameters(function) -> Any:
    [schema] = Toolbox([tool(function)]).schemas
    return schema["function"]["parameters"]


def arguments(function, text: str) -> dict[str, Any]:
    made = tool(function)
    return dict(Toolbox([made]).prepare(made.name, text).arguments)


def test_a_tool_is_described_in_openais_words():
    assert Toolbox([tool(weather)]).schemas == (
        {
            "type": "function",
            "function": {
                "name": "weather",
                "description": "Tell the weather of a city.\n\nIt is a guess.\n\nReturns:\n    One sentence.",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "city": {"type": "string", "description": "As people write it."},
                        "days": {"type": "integer", "default": 1, "description": "How far to look, in days."},
                    },
                    "required": ["city"],
                    "additionalProperties": False,
                },
            },
        },
    )


def test_the_context_is_no_part_of_the_schema():
    def orders(context: ToolContext) -> str:
        return context.user_id

    assert parameters(orders) == {"type": "object", "properties": {}, "additionalProperties": False}


def test_names_that_pydantic_uses_itself_are_names_like_others():
    def odd(schema: str, model_config: int, copy: str, _private: str, p0: str, self: str, title: str) -> str:
        return schema

    given = '{"schema": "a", "model_config": 1, "copy": "b", "_private": "c", "p0": "d", "self": "e", "title": "f"}'
    assert list(parameters(odd)["properties"]) == ["schema", "model_config", "copy", "_private", "p0", "self", "title"]
    assert arguments(odd, given) == {
        "schema": "a",
        "model_config": 1,
        "copy": "b",
        "_private": "c",
        "p0": "d",
        "self": "e",
        "title": "f",
    }


@pytest.mark.parametrize(
    ("annotation", "value", "given"),
    [
        (str, '"Осло"', "Осло"),
        (int, "3", 3),
        (int, '"3"', 3),  # weaker models write numbers as texts
        (float, "3", 3.0),
        (bool, "true", True),
        (str | None, "null", None),
        (list[int], "[1, 2]", [1, 2]),
        (set[str], '["a"]', {"a"}),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (date, '"2026-11-26"', date(2026, 11, 26)),
        (Literal["a", "b"], '"b"', "b"),
        (Colour, '"red"', Colour.RED),
        (Place, '{"name": "x"}', Place(name="x")),
        (Size, '{"width": 2}', Size(2)),
        (Any, '[{"a": null}]', [{"a": None}]),
    ],
)
def test_values_have_the_types_of_the_function(annotation, value, given):
    def take(x) -> None: ...

    take.__annotations__["x"] = annotation
    assert arguments(take, f'{{"x": {value}}}') == {"x": given}


def test_a_default_is_the_functions_own_also_one_that_is_no_json():
    def take(x: int = 3, y: Any = threading) -> None: ...

    assert arguments(take, "{}") == {}
    assert parameters(take)["properties"] == {"x": {"type": "integer", "default": 3}, "y": {}}


@pytest.mark.parametrize("text", ["", "  ", "null", "{}", ' "{}" '])
def test_no_arguments_are_an_empty_object(text):
    def now() -> str:
        return ""

    assert arguments(now, text) == {}


def test_an_object_inside_a_text_is_read():
    assert arguments(weather, '"{\\"city\\": \\"Oslo\\"}"') == {"city": "Oslo"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "city: Field required"),
        ('{"city": "Os', "Invalid JSON: EOF while parsing a string at line 1 column 12"),
        ("Oslo", "Invalid JSON: expected value at line 1 column 1"),
        ('"Oslo"', "Input should be an object"),
        ('"Os', "Invalid JSON: EOF while parsing a string at line 1 column 3"),
        ("[]", "Input should be an object"),
        ("[" * 10_000, "Invalid JSON: recursion limit exceeded"),
        ('{"city": 5}', "city: Input should be a valid string"),
        (
            '{"city": "a", "days": "many"}',
            "days: Input should be a valid integer, unable to parse",
        ),
        ('{"city": "a", "day": 1}', "day: Extra inputs are not permitted"),
        ('{"town": "a", "days": []}', "town: Extra inputs are not permitted; city: Field required; days: Input should"),
    ],
)
def test_arguments_that_do_not_fit_are_explained_to_the_model(text, reason):
    with pytest.raises(WrongCall) as wrong:
        arguments(weather, text)
    assert str(wrong.value).startswith(f"The arguments of weather cannot be used. {reason}")


def test_arguments_have_a_length():
    def take(x: str) -> None: ...

    most = MAX_ARGUMENTS_BYTES - len('{"x": ""}')
    assert arguments(take, f'{{"x": "{"x" * most}"}}') == {"x": "x" * most}
    with pytest.raises(WrongCall, match=r"^The arguments of take are too long: 65536 bytes are the most"):
        arguments(take, f'{{"x": "{"x" * (most + 1)}"}}')


def test_the_explanation_has_an_end_and_does_not_repeat_what_was_given():
    def take(x: list[int]) -> None: ...

    with pytest.raises(WrongCall) as wrong:
        arguments(take, '{"x": ["secret"' + ', "secret"' * 999 + "]}")
    assert str(wrong.value).endswith(f"; {1_000 - MAX_PROBLEMS} more.")
    assert "secret" not in str(wrong.value)


def test_a_check_of_the_developer_that_fails_is_a_wrong_call():
    def explode(value: str) -> str:
        raise KeyError(value)

    def take(x: Annotated[str, AfterValidator(explode)]) -> None: ...

    with pytest.raises(WrongCall, match=r"^The arguments of take cannot be used\.$"):
        arguments(take, '{"x": "secret"}')


def test_an_unknown_tool_is_answered_with_those_there_are():
    with pytest.raises(WrongCall, match=r"^There is no tool 'wether'\. The tools are: weather\.$"):
        Toolbox([tool(weather)]).prepare("wether", "{}")
    with pytest.raises(WrongCall, match=r"The tools are: none\.$"):
        Toolbox().prepare("weather", "{}")


@pytest.mark.parametrize(
    ("name", "arguments", "needs"),
    [
        ("weather", '{"city": "Oslo"}', False),
        ("pay", '{"city": "Oslo"}', True),
        ("unknown", "{}", False),
        ("pay", "{}", False),
        ("pay", "[", False),
    ],
)
def test_only_a_call_that_can_be_made_of_a_tool_that_says_so_needs_approval(name, arguments, needs):
    box = Toolbox([tool(weather), tool(name="pay", needs_approval=True)(weather)])
    assert box.needs_approval(name, arguments) is needs


def broken(city: str, when: threading.Event) -> None: ...


def called_back(call: Callable[[], int]) -> None: ...


def never(x: float = float("nan")) -> None: ...


def with_field(x: int = Field(3)) -> None: ...


def with_a_broken_type(size: BrokenType) -> None: ...


@pytest.mark.parametrize(
    ("function", "parameter"),
    [(broken, "when"), (called_back, "call"), (never, "x"), (with_field, "x"), (with_a_broken_type, "size")],
)
def test_a_type_without_a_schema_names_function_file_and_parameter(function, parameter):
    with pytest.raises(ValueError, match=r"cannot be described to the model: \w") as refusal:
        Toolbox([tool(function)])
    assert str(refusal.value).startswith(f"tool {function.__name__} in ")
    assert f"test_toolbox.py: parameter {parameter} cannot be described to the model: " in str(refusal.value)


def test_an_assistant_with_a_broken_tool_has_no_toolbox_and_others_have():
    found = toolboxes([Assistant(id="a", tools=(broken,)), Assistant(id="b", tools=(weather,)), Assistant(id="c")])
    assert {name: len(box.schemas) for name, box in found.items()} == {"b": 1, "c": 0}


@pytest.mark.parametrize(
    ("docstring", "text", "of_parameters"),
    [
        ("", "", {}),
        ("Tell it.", "Tell it.", {}),
        (
            "Tell it.\n\nArgs:\n  a: One.\n  b (str): Two:\n     three.\n\n  *c: Four.",
            "Tell it.",
            {"a": "One.", "b": "Two: three.", "c": "Four."},
        ),
        ("Tell it.\n\nArguments:\n    a: One.\nNote:\n    Two.", "Tell it.\n\nNote:\n    Two.", {"a": "One."}),
        (
            "Tell it.\n\n    Args:\n        a: 1.\n\n    Returns:\n        2.\n    ",
            "Tell it.\n\nReturns:\n    2.",
            {"a": "1."},
        ),
        ("\nArgs:\n    no colon here\n    a:\n        One.", "", {"a": "One."}),
        ("Tell: it.\n\nExample:\n    >>> f()\n\nMore.", "Tell: it.\n\nMore.", {}),
    ],
)
def test_docstrings_are_read_in_googles_style(docstring, text, of_parameters):
    found = described(docstring)
    assert (found.text, dict(found.parameters)) == (text, of_parameters)
