"""The pages on the emulator: short, for a named reader, all in the list, and they quote what the emulator prints."""

import ast
import re
from pathlib import Path

import click
import pytest
from parley.cli.main import main
from parley.template.reader import read

from tests.emulator.facts_table import BEGIN, END
from tests.support import documentation

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "docs" / "emulator"
PAGES = sorted(BOOK.glob("*.md"))
MAX_LINES = 200
"""The most lines of a page, without the facts, which are made from the tests."""

MIN_LETTERS = 8
"""The least number of letters of a quoted line. Fewer would be found anywhere."""

_FOR_WHOM = re.compile(r"# .+\n\nFor (?:everyone|those) who[^.]*\.?|# .+\n\nFor those whose ")
_FENCE = re.compile(r"^ *```(?:console|text)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_PROMPT = re.compile(r"^ *\$ (?:\.venv/bin/)?(?:npx )?(.*)$", re.MULTILINE)
_PARLEY = re.compile(r"\bparley(?: [a-z][^\n`|)&#]*)")
_OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")


def quoted(page: str) -> list[str]:
    """Return the lines that a page's tables quote in their first column."""
    rows = re.findall(r"^\| (`.*?`) \| ", page, re.MULTILINE)
    return [line for row in rows for line in re.findall(r"`([^`]+)`", row)]


def parts(line: str) -> list[str]:
    """Return the parts of a quoted line between its ellipses."""
    return [part.strip() for part in line.split("…") if part.strip()]


def printable() -> list[str]:
    """Return every text in the source of the emulator, with a control character for each value in it."""
    return [
        text
        for file in sorted((ROOT / "local" / "parley").rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if (text := _text(node))
    ]


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(each.value) if isinstance(each, ast.Constant) else "\0" for each in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def is_printed(line: str, texts: list[str]) -> bool:
    """Tell if one of the texts has the parts of a quoted line, in their order."""
    pattern = re.compile(".*".join(map(re.escape, parts(line))), re.DOTALL)
    return any(pattern.search(text) for text in texts)


def commands(page: str) -> list[str]:
    """Return the commands of `parley` that a page names, in blocks and in the text."""
    shown = [found for block in _FENCE.findall(page) for found in _PROMPT.findall(block)]
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```$", "", page, flags=re.MULTILINE | re.DOTALL))
    return [
        found[0] for text in shown + spans if (found := _PARLEY.search(text)) and text.startswith(("parley ", "cd "))
    ]


def unknown(text: str) -> list[str]:
    """Return what a command line of `parley` names and `parley` does not have."""
    words = text.partition(" -- ")[0].split()[1:]
    command: click.Command = main
    while words and isinstance(command, click.Group):
        name = words.pop(0).rstrip(",.")
        if name not in command.commands:
            return [name]
        command = command.commands[name]
    options = {each for parameter in command.params for each in (*parameter.opts, *parameter.secondary_opts)}
    if command.name == "exec":
        options |= {each for parameter in main.commands["up"].params for each in parameter.opts}
    return [
        each for word in words if _OPTION.match(word) and (each := word.partition("=")[0]) not in options | {"--help"}
    ]


@pytest.fixture(scope="module")
def texts():
    return printable()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
class TestAPage:
    def test_it_is_short(self, page):
        written, _, made = page.read_text().partition(BEGIN)
        assert len((written + made.partition(END)[2]).splitlines()) <= MAX_LINES

    def test_it_says_for_whom_it_is(self, page):
        assert _FOR_WHOM.match(page.read_text())

    def test_it_is_in_the_list(self, page):
        entry = (BOOK / "README.md").read_text()
        assert page.name == "README.md" or f"]({page.name})" in entry

    def test_its_commands_exist(self, page):
        assert [(each, missing) for each in commands(page.read_text()) if (missing := unknown(each))] == []


class TestTroubleshooting:
    lines = quoted((BOOK / "troubleshooting.md").read_text())

    @pytest.mark.parametrize("line", lines)
    def test_the_emulator_prints_it(self, line, texts):
        assert is_printed(line, texts)
        assert sum(map(len, parts(line))) >= MIN_LETTERS

    def test_there_are_many(self):
        assert len(self.lines) > 50
        assert len(self.lines) == len(set(self.lines))

    @pytest.mark.parametrize(
        "line", ["Nothing that is printed", "is in use by … of another house", "There is no templates in …"]
    )
    def test_what_it_does_not_print_is_found(self, line, texts):
        assert not is_printed(line, texts)


def test_commands_that_do_not_exist_are_found():
    block = "$ parley up --templates x\n$ parley state burn\n$ parley exec -q -- npm test --all\n"
    page = f"`parley upp`\n\n```console\n{block}```\n"
    assert [unknown(each) for each in commands(page)] == [["--templates"], ["burn"], [], ["upp"]]


def test_the_table_of_facts_is_on_the_page_of_differences():
    text = (BOOK / "differences.md").read_text()
    assert text.count(BEGIN) == text.count(END) == 1


def test_the_template_for_terraform_is_read(tmp_path):
    documentation.write_blocks("docs/emulator/projects.md", "yaml", tmp_path)
    (tmp_path / "src").mkdir()
    template = read(tmp_path / "template.yaml")
    assert (template.notes, set(template.websocket_apis[0].routes)) == ((), {"$connect", "$default"})
