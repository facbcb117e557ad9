"""The loading of libraries in the zygote, for all functions at once. What depends on one function is left out.

A library may read or set variables while it is imported. On AWS it then sees those of its function. Here the functions
share what is loaded, so a module is not loaded if it reads a variable that is not the same for all functions, or if it
sets one, or if a function brings a copy of it, or if it imports such a module: each function then loads it itself.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from types import FrameType, FunctionType, ModuleType
from typing import Any, NoReturn, Self, cast

from parley.functions.processes import service_data

_IMPORTED_WHEN_USED = {
    "socket": "encodings.idna",
    "httpx": "httpcore",
    "httpx2": "httpcore2",
    "fastapi": "pydantic.v1",
    "anyio": "anyio._backends._asyncio",
}
"""Modules that libraries import only when they are used. Otherwise each environment would load them for itself."""

_RUNTIME = (
    "awslambdaric.lambda_config",
    "awslambdaric.lambda_context",
    "awslambdaric.lambda_runtime_log_utils",
    "awslambdaric.lambda_runtime_marshaller",
)
"""The modules of AWS's runtime client that read no variables when they are loaded."""


@dataclass(frozen=True, slots=True)
class Libraries:
    """The modules to load, and what none of them may depend on.

    `variables` are the names whose values differ between processes. `own` are modules that functions bring: by their
    first names all modules of a package, or single ones by their whole names. `services` are the AWS services that the
    functions may call. `packages` are folders that take the place of all that is installed beside the emulator.
    """

    modules: Sequence[str] = ()
    variables: Sequence[str] = ()
    own: Sequence[str] = ()
    services: Sequence[str] = ()
    packages: Sequence[str] = ()

    def without(self, modules: Iterable[str]) -> Self:
        """Return the libraries without these modules, and without all that import them."""
        return replace(self, own=[*self.own, *modules])


class Refused(BaseException):
    """An import that is left to the functions. Not an `Exception`: a library must not take it for a missing module."""


class _Guard:
    """The finder and the variables of the time of loading. `refused` are the modules whose import was refused."""

    def __init__(self, libraries: Libraries) -> None:
        self.refused: set[str] = set()
        self._variables = frozenset(libraries.variables)
        self._own = frozenset(libraries.own)

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Refuse the import of a function's own module. Any other one is left to the finders that follow."""
        # A refused module once more: the answer would be the same, but its code would run again to get it.
        if name in self._own or name.partition(".")[0] in self._own or name in self.refused:
            self.refuse()
        return None

    def refuse(self) -> NoReturn:
        """Refuse to load the modules that are being imported now: they all depend on the innermost one."""
        self.refused |= set(_importing(sys._getframe()))
        raise Refused

    @contextmanager
    def watching(self) -> Iterator[None]:
        """See all imports and variables while the block runs."""
        guard, names = self, self._variables

        class Watched(os._Environ):  # type: ignore[type-arg]
            def __getitem__(self, name: Any) -> Any:
                if name in names:
                    guard.refuse()
                return super().__getitem__(name)

            def __iter__(self) -> Iterator[Any]:
                guard.refuse()

            def __setitem__(self, name: Any, value: Any) -> None:
                guard.refuse()

            def __delitem__(self, name: Any) -> None:
                guard.refuse()

        # The object stays the same: a library that keeps it must see the function's variables later.
        environ, plain = cast(Any, os.environ), type(os.environ)
        environ.__class__ = Watched
        sys.meta_path.insert(0, cast(Any, self))
        try:
            yield
        finally:
            sys.meta_path.remove(cast(Any, self))
            environ.__class__ = plain


def load(libraries: Libraries) -> set[str]:
    """Load the libraries. Return the modules that must not be loaded, but have left something behind: start afresh.

    A module that fails is skipped: it may not exist, and it may never be needed.
    """
    # While modules are loaded almost nothing is garbage: collections would only take time.
    gc.disable()
    guard = _Guard(libraries)
    with guard.watching():
        _import(_RUNTIME)
        _import(libraries.modules)
        with warnings.catch_warnings():
            # Nobody has used them: `pydantic.v1` warns that it does not work on Python 3.14.
            warnings.simplefilter("ignore")
            _import(later for library, later in _IMPORTED_WHEN_USED.items() if library in sys.modules)
    left_behind = _clear(guard.refused) if guard.refused else set()
    service_data.share(libraries.services)
    # A child shares the zygote's memory until one of the two writes to it. The collector writes to every object that it
    # visits, and so would copy all of it. `freeze` takes what is loaded now out of its sight.
    gc.freeze()
    gc.enable()
    return left_behind


def _import(modules: Iterable[str]) -> None:
    for name in modules:
        with suppress(Exception, SystemExit, Refused):
            importlib.import_module(name)


def _importing(frame: FrameType | None) -> Iterator[str]:
    """Yield the names of the modules whose own code is running: an import runs inside the importing module's code."""
    while frame is not None and frame.f_code is not load.__code__:
        if frame.f_code.co_name == "<module>":
            yield str(frame.f_globals.get("__name__"))
        frame = frame.f_back


def _clear(refused: Collection[str]) -> set[str]:
    """Forget the modules of packages whose import was refused. Return the refused modules that this cannot undo.

    A refused module may have caught the refusal. A library in C cannot be loaded twice. And a module of another package
    may hold on to what is forgotten.
    """
    caught = sys.modules.keys() & set(refused)
    inside = {name: module for name, module in list(sys.modules.items()) if _parents(name) & set(refused)}
    for name in inside:
        del sys.modules[name]
    in_c = {name for name, module in inside.items() if _is_in_c(module)}
    holding = {name for name, module in list(sys.modules.items()) if _holds(module, {*refused, *inside})}
    return set(refused) | holding if caught or in_c or holding else set()


def _parents(name: str) -> set[str]:
    parts = name.split(".")
    return {".".join(parts[:length]) for length in range(1, len(parts))}


def _is_in_c(module: ModuleType | None) -> bool:
    return str(getattr(module, "__file__", None) or "").endswith(tuple(EXTENSION_SUFFIXES))


def _holds(module: object, forgotten: Collection[str]) -> bool:
    """Tell if a module holds a forgotten module, or a class or function of one."""
    return issubclass(type(module), ModuleType) and any(
        _home(value) in forgotten for value in list(vars(module).values())
    )


def _home(value: object) -> str | None:
    # By the object's real type: an attribute of a proxy may run code.
    if issubclass(type(value), ModuleType | type):
        found = vars(value).get("__name__" if issubclass(type(value), ModuleType) else "__module__")
    else:
        found = cast(Any, value).__module__ if type(value) is FunctionType else None
    return found if isinstance(found, str) else None
