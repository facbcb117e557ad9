"""Rows of a terminal: a text broken between words, by the width of its characters."""

from __future__ import annotations

from prompt_toolkit.utils import get_cwidth

_TAB = "    "


def rows(text: str, columns: int) -> list[str]:
    """Return the rows of a text. The last one may be empty, and may have room for more.

    A word that is wider than a row is broken. Chinese, Japanese and Korean characters and most emoji take two columns.
    """
    found = []
    for line in text.replace("\t", _TAB).split("\n"):
        rest = line
        while get_cwidth(rest) > columns:
            row, rest = _first_row(rest, columns)
            found.append(row)
        found.append(rest)
    return found


def _first_row(text: str, columns: int) -> tuple[str, str]:
    """Return the first row of a text that is wider than a row, and the rest."""
    width = end = 0
    while end < len(text) and (width := width + get_cwidth(text[end])) <= columns:
        end += 1
    end = max(end, 1)  # a character may be wider than the terminal
    if text[end : end + 1] == " ":
        return text[:end], text[end + 1 :]
    space = text.rfind(" ", 0, end)
    if space > 0 and text[:space].strip():  # else the row would be empty, or nothing but an indentation
        return text[:space], text[space + 1 :]
    return text[:end], text[end:]
