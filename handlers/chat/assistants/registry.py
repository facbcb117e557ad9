"""Registry of the assistants: finds the files of `handlers/assistants`, and leaves out those that are broken.

Nothing names the files: a new one is found by itself, in a folder and in a zip.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType

from handlers.chat.assistants.assistant import Assistant
from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.log import logger
from handlers.chat.records import DEFAULT_ASSISTANT

PACKAGE = "handlers.assistants"

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_PRIVATE = "_"
"""The beginning of names of files that are no assistants, but are there for those that are."""


def _only_the_default() -> dict[str, Assistant]:
    return {DEFAULT_ASSISTANT: Assistant(id=DEFAULT_ASSISTANT)}


@dataclass(frozen=True, slots=True)
class Assistants:
    """The assistants of a deployment by their ids, the default one first. `broken` are files that cannot be used.

    Each broken file is named with the reason. Without arguments there is the default one alone, without instructions.
    """

    by_id: Mapping[str, Assistant] = field(default_factory=_only_the_default)
    broken: Mapping[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Assistant]:
        return iter(self.by_id.values())

    @property
    def is_default_alone(self) -> bool:
        """True if there is no file but that of the default assistant."""
        return self.by_id.keys() == {DEFAULT_ASSISTANT} and not self.broken

    def find(self, assistant_id: str | None) -> Assistant | None:
        """Return an assistant, None if there is none with this id. The id None is the default one's."""
        return self.by_id.get(DEFAULT_ASSISTANT if assistant_id is None else assistant_id)

    def get(self, assistant_id: str | None) -> Assistant:
        """Return an assistant. Raises `Refused` with `unknown_assistant`, and with `unavailable` for the default."""
        if assistant := self.find(assistant_id):
            return assistant
        if assistant_id in (None, DEFAULT_ASSISTANT):
            raise Refused(ErrorCode.UNAVAILABLE)
        raise Refused(ErrorCode.UNKNOWN_ASSISTANT)

    def kept_id(self, assistant_id: str | None) -> str | None:
        """Return the id that a new chat keeps: none for the default assistant. Raises `Refused` as `get`."""
        # A chat with the default assistant can be created, and be read, while that one is broken.
        if assistant_id in (None, DEFAULT_ASSISTANT):
            return None
        return self.get(assistant_id).id


def load(package: str = PACKAGE) -> Assistants:
    """Load the files of a package. Each one that is broken is logged, and left out."""
    found: dict[str, Assistant] = {}
    broken: dict[str, str] = {}

    def leave_out(name: str, error: BaseException) -> None:
        file = f"{package.replace('.', '/')}/{name}.py"
        broken[file] = str(error) if isinstance(error, BrokenAssistant) else f"{type(error).__name__}: {error}"
        logger.error("assistant_broken", file=file, problem=broken[file], exc_info=error)

    names: list[str] = []
    try:
        names = _names(importlib.import_module(package))
    except (Exception, SystemExit) as error:
        leave_out("__init__", error)
    for name in names:
        try:
            _check_id(name)
            found[name] = assistant_of(importlib.import_module(f"{package}.{name}"), name)
        except (Exception, SystemExit) as error:
            leave_out(name, error)
    if DEFAULT_ASSISTANT not in (*found, *names):
        leave_out(DEFAULT_ASSISTANT, BrokenAssistant("there is no such file"))
    return Assistants(found, broken)


class BrokenAssistant(ValueError):
    """A file of an assistant that says something wrong. The text says how to mend it."""


def assistant_of(module: ModuleType, assistant_id: str) -> Assistant:
    """Return the assistant of a module. Raises `BrokenAssistant` if it has none.

    A function `reply` of the module is the assistant's own agent. Then the module needs no `assistant`.
    """
    assistant, reply = getattr(module, "assistant", None), getattr(module, "reply", None)
    if assistant is None and reply is not None:
        assistant = Assistant()
    if not isinstance(assistant, Assistant):
        what = "no `assistant`" if assistant is None else f"an `assistant` of the type {type(assistant).__name__}"
        raise BrokenAssistant(f"the file has {what}; it must say `assistant = Assistant(…)`")
    if reply is not None and assistant.reply is None:
        assistant = replace(assistant, reply=reply)
    if assistant.id not in ("", assistant_id):
        raise BrokenAssistant(f"the id is {assistant.id!r}; the name of the file is the id, so leave `id` out")
    return replace(assistant, id=assistant_id)


def _check_id(name: str) -> None:
    if not _ID.fullmatch(name):
        raise BrokenAssistant(
            f"{name!r} cannot be an id; name the file with a to z, 0 to 9, - and _, in 64 characters at most"
        )


def _names(package: ModuleType) -> list[str]:
    """Return the names of the files that are assistants, the default one first."""
    import pkgutil  # not at the top: every function loads this module with its settings, and four look for files

    names = (module.name for module in pkgutil.iter_modules(package.__path__))
    return sorted(
        (name for name in names if not name.startswith(_PRIVATE)), key=lambda name: (name != DEFAULT_ASSISTANT, name)
    )
