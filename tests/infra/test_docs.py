"""The documentation: citations name sections and rows that exist, links lead to files and headings that exist."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SELF = Path(__file__).relative_to(ROOT)
"""Holds citations and links that are wrong on purpose, so it is not checked."""

CITED = {"docs/aws.md", "docs/failures.md"}
ROWS = {"threat": "2 Threats", "failure": "3 Failures"}
"""What a row of docs/failures.md is called, and the heading of the section with its table."""

_NUMBERS = r"\d+(?:(?:,\s*|\s+and\s+|\s+to\s+|–)\d+)*"
_CITATION = re.compile(rf"(docs/(?:aws|failures)\.md)\s+(?:#\s*)?(?:(section|threat|failure)(s?)\s+({_NUMBERS})|(\d+))")
_OLD_STYLE = re.compile(r"\b(?:AWS|RELIABILITY)\.md")
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*$", re.MULTILINE)
_LINK = re.compile(r"""\[[^\[\]]*\]\(([^()\s]+)(?:\s+"[^"]*")?\)""")

Targets = Mapping[str, set[int]]
"""Numbers that can be cited, by `docs/aws.md section`, `docs/failures.md threat`, …"""


def tracked(*patterns: str) -> list[Path]:
    """Return the files that git knows, relative to the root."""
    listed = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [Path(name) for name in listed.stdout.split("\0") if name]
    return [file for file in files if file != SELF and (ROOT / file).is_file()]


def read(file: Path) -> str:
    return (ROOT / file).read_text(errors="replace")


def without_fences(text: str) -> str:
    """Return a Markdown text without its blocks of code, on the same lines."""
    return _FENCE.sub(lambda block: "\n" * block[0].count("\n"), text)


def headings(text: str) -> list[str]:
    """Return the headings of a Markdown text, as they are written."""
    return _HEADING.findall(without_fences(text))


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a Markdown text."""
    found: set[str] = set()
    for heading in headings(text):
        shown = _LINK.sub(lambda link: link[0][1 : link[0].index("]")], heading).lower()
        slug = re.sub(r"[^\w\- ]", "", shown).replace(" ", "-")
        number = 0
        while (anchor := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(anchor)
    return found


def sections(text: str) -> set[int]:
    """Return the numbers of the sections of a Markdown text: `## 5 @connections` is section 5."""
    return {int(match[1]) for heading in headings(text) if (match := re.match(r"(\d+) ", heading))}


def rows(text: str, heading: str) -> set[int]:
    """Return the numbers in the first column of the tables below a heading."""
    _, _, below = text.partition(f"\n## {heading}\n")
    return {int(number) for number in re.findall(r"^\| (\d+) \|", below.partition("\n## ")[0], re.MULTILINE)}


def targets(documents: Mapping[str, str]) -> Targets:
    """Return what can be cited in documents, by path."""
    found = {f"{path} section": sections(text) for path, text in documents.items()}
    for kind, heading in ROWS.items():
        found[f"docs/failures.md {kind}"] = rows(documents.get("docs/failures.md", ""), heading)
    return found


def numbers(listed: str) -> set[int]:
    """Return the numbers of a list such as `1, 2 and 6` or `3 to 6`."""
    found: set[int] = set()
    for first, last in re.findall(r"(\d+)(?:(?:\s+to\s+|–)(\d+))?", listed):
        found |= set(range(int(first), int(last or first) + 1))
    return found


def old_citations(text: str) -> Iterator[str]:
    """Yield each citation of a text by a name that the documents had outside of the project."""
    for old in _OLD_STYLE.finditer(text):
        yield f"line {_line(text, old)}: {old[0]}: cite docs/aws.md or docs/failures.md"


def bad_citations(text: str, there: Targets) -> Iterator[str]:
    """Yield each citation of a text that does not say of what kind it is, or names a number that does not exist."""
    for citation in _CITATION.finditer(text):
        document, kind, plural, listed, bare = citation.groups()
        place = f"line {_line(text, citation)}: {' '.join(citation[0].split())}"
        if bare:
            yield f"{place}: write `section {bare}`"
        elif bool(plural) != (len(numbers(listed)) > 1):
            yield f"{place}: `{kind}` for one number, `{kind}s` for several"
        elif missing := numbers(listed) - there.get(f"{document} {kind}", set()):
            yield f"{place}: there is no {kind} {', '.join(map(str, sorted(missing)))}"


def bad_links(text: str, file: Path, root: Path) -> Iterator[str]:
    """Yield each relative link of a Markdown file that leads to no file, or to no heading of it."""
    shown = _CODE.sub("", without_fences(text))
    for link in _LINK.finditer(shown):
        if re.match(r"[a-z]+:", link[1]):
            continue
        path, _, anchor = link[1].partition("#")
        target = (root / file.parent / path).resolve() if path else root / file
        place = f"line {_line(shown, link)}: {link[1]}"
        if not target.exists():
            yield f"{place}: there is no such file"
        elif anchor and target.suffix == ".md" and anchor not in anchors(target.read_text()):
            yield f"{place}: there is no such heading"


def _line(text: str, match: re.Match[str]) -> int:
    return text.count("\n", 0, match.start()) + 1


def test_each_citation_names_a_section_or_row_that_exists():
    there = targets({path: read(Path(path)) for path in CITED})
    wrong = [
        f"{file}, {each}" for file in tracked("*.py", "*.md", "*.yaml") for each in bad_citations(read(file), there)
    ]
    assert wrong == []


def test_no_file_cites_a_document_that_is_not_in_the_project():
    wrong = [f"{file}, {each}" for file in tracked() for each in old_citations(read(file))]
    assert wrong == []


def test_each_link_leads_to_a_file_and_a_heading_that_exist():
    wrong = [f"{file}, {each}" for file in tracked("*.md") for each in bad_links(read(file), file, ROOT)]
    assert wrong == []


def test_the_examples_in_the_documentation_are_those_that_are_tested():
    page = read(Path("docs/assistants.md"))
    examples = sorted((ROOT / "docs" / "examples").glob("*.py"))
    assert examples
    assert [file.name for file in examples if f"```python\n{file.read_text()}```\n" not in page] == []


def test_the_cited_documents_have_their_sections_and_rows():
    there = targets({path: read(Path(path)) for path in CITED})
    assert there["docs/aws.md section"] == set(range(12))
    assert there["docs/failures.md section"] == {1, 2, 3, 4}
    assert there["docs/failures.md threat"] == set(range(1, 34))
    assert there["docs/failures.md failure"] == set(range(1, 51))


DOCUMENTS = {
    "docs/aws.md": "# AWS\n\n## 0 Facts\n\n## 1 Events\n\n```\n## 7 No heading\n```\n\n## 2 Handshake\n",
    "docs/failures.md": (
        "# Failures\n\n## 1 First\n\n| 9 | no threat |\n\n"
        "## 2 Threats\n\n| # | threat |\n|---|---|\n| 1 | a |\n| 2 | b 7 |\n\n## 3 Failures\n\n| 5 | c |\n"
    ),
}


class TestCitations:
    there = targets(DOCUMENTS)

    def test_what_can_be_cited(self):
        assert self.there == {
            "docs/aws.md section": {0, 1, 2},
            "docs/failures.md section": {1, 2, 3},
            "docs/failures.md threat": {1, 2},
            "docs/failures.md failure": {5},
        }

    @pytest.mark.parametrize(
        "text",
        [
            "(docs/aws.md section 2)",
            "docs/aws.md section 2, as boto3 does",
            "docs/aws.md sections 0 and 2",
            "docs/aws.md sections 0, 1, 2",
            "docs/aws.md sections 0 to 2",
            "docs/aws.md\n    # sections 0 and 1",
            "docs/failures.md section 3; docs/failures.md threats 1 to 2; docs/failures.md failure 5",
            "docs/aws.md has it all",
            "[aws.md](aws.md) has 30 facts",
        ],
    )
    def test_right_ones(self, text):
        assert list(bad_citations(text, self.there)) == []

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("docs/aws.md section 3", "there is no section 3"),
            ("docs/aws.md section 7", "there is no section 7"),
            ("docs/aws.md sections 1 and 4", "there is no section 4"),
            ("docs/aws.md sections 1 to 4", "there is no section 3, 4"),
            ("docs/aws.md\n# section 3", "there is no section 3"),
            ("docs/aws.md threat 1", "there is no threat 1"),
            ("docs/failures.md threat 9", "there is no threat 9"),
            ("docs/failures.md failure 1", "there is no failure 1"),
            ("docs/failures.md failures 5 and 6", "there is no failure 6"),
            ("docs/aws.md 2", "write `section 2`"),
            ("docs/aws.md section 1 and 2", "`sections` for several"),
            ("docs/aws.md sections 1", "`section` for one number"),
        ],
    )
    def test_wrong_ones(self, text, why):
        [wrong] = bad_citations(text, self.there)
        assert wrong.startswith("line 1: ")
        assert why in wrong

    @pytest.mark.parametrize("text", ["(AWS.md section 2)", "AWS.md, U", "RELIABILITY.md, threats 1 to 8", "../AWS.md"])
    def test_ones_in_the_old_style(self, text):
        [wrong] = old_citations(text)
        assert "cite docs/aws.md or docs/failures.md" in wrong

    def test_a_line_is_named(self):
        assert list(bad_citations("\n\ndocs/aws.md section 8", self.there)) == [
            "line 3: docs/aws.md section 8: there is no section 8"
        ]


class TestLinks:
    @pytest.fixture
    def root(self, tmp_path):
        (tmp_path / "docs").mkdir()
        (tmp_path / "README.md").write_text("# Parley\n\n## Two words, one `code`\n\n## Twice\n\n## Twice\n")
        (tmp_path / "docs" / "aws.md").write_text("# AWS\n\n## 5 @connections\n\n```console\n# no heading\n```\n")
        return tmp_path

    @pytest.mark.parametrize(
        "text",
        [
            "[a](aws.md) and [b](../README.md)",
            "[`code`](aws.md#5-connections)",
            "[a](../README.md#two-words-one-code), [b](../README.md#twice), [c](../README.md#twice-1)",
            "[a folder](../docs)",
            "[elsewhere](https://example.com/none.md#no) and [mail](mailto:a@example.com)",
            "## Here\n\n[a](#aws)",
            "`[no](link.md)`\n\n```\n[no](link.md)\n```\n",
        ],
    )
    def test_right_ones(self, root, text):
        assert list(bad_links(text, Path("docs/aws.md"), root)) == []

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("[a](none.md)", "no such file"),
            ("[a](README.md)", "no such file"),
            ('[a](none.md "A title")', "no such file"),
            ("![a](picture.png)", "no such file"),
            ("[`code`](../none)", "no such file"),
            ("[a](aws.md#6-connections)", "no such heading"),
            ("[a](aws.md#no-heading)", "no such heading"),
            ("[a](../README.md#twice-2)", "no such heading"),
            ("[a](#here)", "no such heading"),
        ],
    )
    def test_wrong_ones(self, root, text, why):
        [wrong] = bad_links(text, Path("docs/aws.md"), root)
        assert why in wrong
