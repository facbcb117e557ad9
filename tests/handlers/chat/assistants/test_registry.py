"""The search for the files of assistants."""

import json
from io import StringIO

import pytest

from handlers.chat.assistants import Assistant
from handlers.chat.assistants.registry import Assistants, load
from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.log import logger
from tests.support.assistant_files import DEFAULT, assistant_files

TEA = "from handlers.chat.assistants import Assistant\nassistant = Assistant(title='Tea', instructions='Pour.')\n"


@pytest.fixture
def log(monkeypatch):
    monkeypatch.setattr(logger.registered_handler, "stream", stream := StringIO())
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.fixture
def loaded(tmp_path):
    """Return a function that loads the assistants of some files."""

    def load_files(files, **more):
        with assistant_files(tmp_path, files, **more) as package:
            return load(package)

    return load_files


@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "zip"])
def test_a_file_is_an_assistant_and_its_name_is_the_id(loaded, zipped):
    files = {"tea.py": TEA, "default.py": DEFAULT, "my_bot-2.py": DEFAULT, "big/__init__.py": TEA}
    assistants = loaded(files, zipped=zipped)
    assert [each.id for each in assistants] == ["default", "big", "my_bot-2", "tea"]
    assert assistants.get("tea") == Assistant(title="Tea", instructions="Pour.", id="tea")
    assert assistants.get(None).id == assistants.get("default").id == "default"
    assert not assistants.broken


def test_a_file_whose_name_begins_with_an_underscore_helps_others(loaded):
    own = "from assistants_of_a_test import nothing\n"
    assistants = loaded({"default.py": DEFAULT, "_shared.py": own})
    assert [each.id for each in assistants] == ["default"]
    assert not assistants.broken


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("tea.py", "", "the file has no `assistant`; it must say `assistant = Assistant(…)`"),
        ("tea.py", "assistant = None\n", "the file has no `assistant`; it must say `assistant = Assistant(…)`"),
        ("tea.py", "assistant = {}\n", "the file has an `assistant` of the type dict; it must say"),
        ("tea.py", TEA.replace("title", "id='coffee', title"), "the id is 'coffee'; the name of the file is the id"),
        ("tea.py", TEA.replace("'Tea'", "5"), "ValueError: title has 5"),
        ("tea.py", TEA.replace("title", "colour"), "TypeError: "),
        ("tea.py", "import no_such_library\n", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("tea.py", "assistant =\n", "SyntaxError: "),
        ("tea.py", "raise SystemExit('no')\n", "SystemExit: no"),
        ("tea.py", "{}['key']\n", "KeyError: 'key'"),
        ("Tea.py", TEA, "'Tea' cannot be an id; name the file with a to z"),
        ("чай.py", TEA, "'чай' cannot be an id"),
        (f"{'t' * 65}.py", TEA, f"'{'t' * 65}' cannot be an id"),
    ],
)
def test_a_broken_file_is_named_with_its_reason_and_the_others_go_on(loaded, log, name, text, problem):
    assistants = loaded({"default.py": DEFAULT, name: text, "zoo.py": TEA})
    assert [each.id for each in assistants] == ["default", "zoo"]
    [(file, reason)] = assistants.broken.items()
    assert file.endswith(f"/{name}")
    assert reason.startswith(problem)
    [event] = log()
    assert (event["level"], event["message"], event["file"], event["problem"]) == (
        "ERROR",
        "assistant_broken",
        file,
        reason,
    )
    assert refusal(assistants, name.removesuffix(".py")) is ErrorCode.UNKNOWN_ASSISTANT


@pytest.mark.parametrize("files", [{"tea.py": TEA}, {"tea.py": TEA, "default.py": "1/0\n"}], ids=["none", "broken"])
def test_without_a_default_one_nobody_is_answered_by_another(loaded, log, files):
    assistants = loaded(files)
    assert [each.id for each in assistants] == ["tea"]
    assert [file.rpartition("/")[2] for file in assistants.broken] == ["default.py"]
    assert [event["message"] for event in log()] == ["assistant_broken"]
    assert refusal(assistants, None) is refusal(assistants, "default") is ErrorCode.UNAVAILABLE


def test_a_folder_that_cannot_be_loaded_leaves_nobody_to_answer_and_the_function_starts(loaded, log):
    assistants = loaded({"__init__.py": "1/0\n", "default.py": DEFAULT, "tea.py": TEA})
    assert [*assistants] == []
    assert [file.rpartition("/")[2] for file in assistants.broken] == ["__init__.py", "default.py"]
    assert [event["message"] for event in log()] == ["assistant_broken"] * 2
    assert refusal(assistants, None) is ErrorCode.UNAVAILABLE


def test_a_folder_that_is_not_there_does_too(log):
    assistants = load("handlers.no_such_assistants")
    assert ([*assistants], len(assistants.broken)) == ([], 2)


@pytest.mark.parametrize(
    "assistant_id", ["coffee", "", "..", "registry", "__init__", "_shared", "os", "Tea", "tea ", "tea.py", "\x00", "é"]
)
def test_an_id_that_no_file_has_is_unknown(loaded, assistant_id):
    assistants = loaded({"default.py": DEFAULT, "tea.py": TEA, "_shared.py": TEA})
    assert assistants.find(assistant_id) is None
    assert refusal(assistants, assistant_id) is ErrorCode.UNKNOWN_ASSISTANT


def test_a_new_chat_keeps_no_id_of_the_default_one(loaded):
    assistants = loaded({"default.py": DEFAULT, "tea.py": TEA})
    assert [assistants.kept_id(each) for each in (None, "default", "tea")] == [None, None, "tea"]
    with pytest.raises(Refused):
        assistants.kept_id("coffee")


def test_without_files_there_is_a_default_one_that_says_nothing():
    assert [*Assistants()] == [Assistant(id="default")]


def test_the_files_of_this_deployment_are_whole():
    assistants = load()
    assert not assistants.broken
    assert next(each.id for each in assistants) == "default"


def refusal(assistants, assistant_id):
    with pytest.raises(Refused) as refused:
        assistants.get(assistant_id)
    return refused.value.code
