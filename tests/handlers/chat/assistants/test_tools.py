"""Tools as the file of an assistant writes them."""

import functools
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from handlers.chat.assistants import Assistant, Tool, ToolContext, tool
from handlers.chat.assistants.tools import MAX_TIMEOUT_SECONDS, MAX_TOOLS

ROOT = Path(__file__).parents[4]


def weather(city: str, days: int = 1) -> str:
    """Tell the weather."""
    return f"{city}: sun for {days} days"


@tool(needs_approval=True, timeout=60)
async def cancel_order(order: int, context: ToolContext) -> str:
    """Cancel an order."""
    return f"{order} of {context.user_id}"


def test_a_function_is_a_tool():
    [made] = Assistant(tools=(weather,)).own_tools
    assert (made.name, made.description, made.needs_approval, made.timeout) == (
        *("weather", "Tell the weather."),
        *(False, 30),
    )
    assert [parameter.name for parameter in made.parameters] == ["city", "days"]
    assert made.context_parameter is None


def test_a_decorated_one_has_its_flags():
    [made] = Assistant(tools=(cancel_order,)).own_tools
    assert made is cancel_order
    assert (made.needs_approval, made.timeout) == (True, 60)


def test_it_can_be_called_as_it_was_written():
    assert tool(weather)("Oslo", days=2) == weather("Oslo", 2)


@pytest.mark.parametrize("decorate", [tool, tool()])
def test_the_decorator_needs_no_arguments(decorate):
    assert decorate(weather) == tool(weather)


def test_name_and_description_can_be_others():
    made = tool(name="forecast", description="Look into the sky.")(weather)
    assert (made.name, made.description) == ("forecast", "Look into the sky.")


def test_the_context_is_no_parameter_of_the_model():
    assert [parameter.name for parameter in cancel_order.parameters] == ["order"]
    assert cancel_order.context_parameter == "context"


def test_the_context_may_be_optional():
    def look(context: ToolContext | None = None) -> str:
        return "" if context is None else context.chat_id

    assert tool(look).parameters == ()
    assert tool(look).context_parameter == "context"


def test_a_method_has_no_self():
    assert [parameter.name for parameter in tool("".join).parameters] == ["iterable"]


def test_what_a_partial_has_set_is_no_choice_of_the_model():
    made = tool(name="secret_weather")(functools.partial(weather, days=3))
    assert [parameter.name for parameter in made.parameters] == ["city"]


def untyped(city) -> str:
    return city


def unknown_type(city: "Elsewhere") -> str:  # noqa: F821
    return str(city)


def starred(*cities: str) -> str:
    return "".join(cities)


def double_starred(**cities: str) -> str:
    return "".join(cities)


def positional(city: str, /) -> str:
    return city


def yielding(city: str) -> Iterator[str]:
    yield city


async def yielding_later(city: str) -> AsyncIterator[str]:
    yield city


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (untyped, "parameter city has no type; write one, such as city: str"),
        (unknown_type, "a type is unknown: name 'Elsewhere' is not defined; import it where the tool is loaded"),
        (starred, "*cities has no names for the model; name each parameter"),
        (double_starred, "**cities has no names for the model; name each parameter"),
        (positional, "parameter city has no name for callers; take out the /"),
        (yielding, "it yields its results; let it return them"),
        (yielding_later, "it yields its results; let it return them"),
        (tool(timeout=0)(weather), "timeout is 0; set it to seconds, 240 at most"),
        (tool(timeout=MAX_TIMEOUT_SECONDS + 1)(weather), "timeout is 241;"),
        (tool(timeout="30")(weather), "timeout is '30';"),
        (tool(timeout=float("nan"))(weather), "timeout is nan;"),
        (tool(name="Погода")(weather), "'Погода' cannot be its name; use a to z, 0 to 9, _ and -, 64 at most"),
        (lambda city: city, "'<lambda>' cannot be its name"),
        (functools.partial(weather, days=3), "'' cannot be its name"),
    ],
)
def test_a_wrong_tool_names_its_function_its_file_and_its_parameter(function, reason):
    name = function.name if isinstance(function, Tool) else getattr(function, "__name__", "")
    with pytest.raises(ValueError, match=r"\w") as refusal:
        Assistant(tools=(function,))
    place, _, text = str(refusal.value).partition(": ")
    # With pytest's import mode, a test's module is named by its path.
    assert place.startswith(f"tool {name} in ")
    assert place.endswith("test_tools.py")
    assert text.startswith(reason)


@pytest.mark.parametrize(
    ("tools", "reason"),
    [
        (weather, "tools is no tuple; set it to a tuple of functions"),
        ("weather", "tools is no tuple"),
        (("weather",), "tools has 'weather', which is no function"),
        ((weather, tool(weather)), "tools has two tools weather; give one of them another name"),
        ([tool(name=f"t{number}")(weather) for number in range(MAX_TOOLS + 1)], "tools has 129 tools; set it to 128"),
    ],
)
def test_what_are_no_tools_is_refused(tools, reason):
    with pytest.raises(ValueError, match="tools") as refusal:
        Assistant(tools=tools)
    assert str(refusal.value).startswith(reason)


def test_a_file_with_tools_loads_no_library_for_schemas():
    """The functions that only list assistants need none."""
    code = (
        "import sys\nfrom handlers.chat.assistants import Assistant\n"
        "def weather(city: str) -> str: return city\n"
        "Assistant(tools=(weather,))\n"
        "print('pydantic' in sys.modules, 'openai' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
