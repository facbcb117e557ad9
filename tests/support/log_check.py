"""The check that nothing printed in a run holds a secret, a token or the text of a message."""

from __future__ import annotations

import json
import re

from tests.support.devices import SECRET, Device, Emulator

SHORTEST = 8
"""Characters of a text that is looked for: shorter ones are in every log by chance."""

_TOKEN = re.compile(r"eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+")
_OURS = re.compile(
    r"WebSocket connection established|Ассистент печатает|New chat|Новый чат|Invalid|Internal|Not authenticated|"
    r"not found|already being|There is no|Something went wrong|Unknown|Извините|Sorry|Message is"
)
"""Texts of our own, which say nothing of a user."""


def check() -> None:
    """Raise AssertionError where an emulator has printed what it must not."""
    for lines in Emulator.printed:
        printed = "".join(lines)
        found = leaks(printed, Device.said)
        assert not found, f"logged: {found[0][:200]!r}"


def leaks(printed: str, said: set[str]) -> list[str]:
    """Return what is private in what an emulator has printed. It greets with one token, which is for that."""
    _, _, rest = printed.partition("Chat in another terminal")
    found = [SECRET] if SECRET in printed else []
    found += _TOKEN.findall(rest)
    looked_for = [text for text in said if len(text) >= SHORTEST and not _OURS.search(text)]
    return found + [text for text in looked_for if any(form in rest for form in _forms(text))]


def _forms(text: str) -> set[str]:
    """Return a text as a log would hold it: as it is, in JSON, and in JSON in JSON."""
    escaped = json.dumps(text)[1:-1]
    return {text, escaped, json.dumps(escaped)[1:-1]}
