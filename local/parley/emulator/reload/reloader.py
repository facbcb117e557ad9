"""Reload: what has changed on disk is what the next event meets, and connections stay open.

Code of functions counts at once: each event looks first whether some has changed. Everything else takes longer to load,
or is written in many steps, so it is loaded when nothing has changed for a moment.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from parley.clock import Clock, Timer
from parley.emulator.reload.differences import changed_functions, is_in, kept, refusal, summary
from parley.emulator.reload.files import Watch, Watched
from parley.emulator.reload.sources import Sources
from parley.errors import StartError
from parley.functions.processes.preload import forks
from parley.functions.service import Functions
from parley.template.model import Function, Template
from parley.trace import Trace

QUIET_SECONDS = 0.02
"""The time without a further change after which functions start again by themselves: several files may be saved."""

SETTLED_SECONDS = 0.3
"""The same for the template, `.env`, layers and libraries, which are often written in many steps."""

_LOOK_SECONDS = 0.5
"""The time between two looks where the system does not tell of changes, or where something is not there yet."""


class Reloaded(Protocol):
    """The emulator, as far as it changes while it runs. `template` is the one that is served."""

    functions: Functions
    template: Template

    def provisioned(self, template: Template, overrides: Mapping[str, str]) -> Template:
        """Return a template that was read, with the final variables of its functions."""

    async def create(self, template: Template) -> None:
        """Create what a template has newly: tables, queues, topics, parameters. Raises `StartError`."""

    async def renew(self, template: Template, overrides: Mapping[str, str]) -> None:
        """Serve the APIs and event sources of this template from now on."""


Read = Callable[[], tuple[Template, Mapping[str, str]]]
"""Reads the template and the developer's variables anew. Raises `StartError`."""


class Reloader:
    """The part that watches, and renews what has changed.

    `files` are the template and `.env`. `own` are the modules and packages that the functions import of a folder that
    holds more than their code: see `Sources`.
    """

    def __init__(
        self,
        emulator: Reloaded,
        watch: Watch,
        read: Read,
        files: Collection[Path],
        own: Mapping[Path, Collection[str]],
        trace: Trace,
        clock: Clock,
    ) -> None:
        self._emulator = emulator
        self._functions = emulator.functions
        self._watch = watch
        self._read = read
        self._files = frozenset(files)
        self._trace = trace
        self._clock = clock
        self._real = dict(emulator.template.functions)
        self._sources = Sources(self._code_folders(), own)
        self._sources.unchecked = self._folders_of_others()
        self._libraries: frozenset[Path] = frozenset()
        self._slow: set[Path] = set()
        self._began: dict[str, float] = {}
        self._restart: list[str] = []
        self._told: list[Path] = []
        self._timers: dict[str, Timer] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._changing = asyncio.Lock()

    def start(self) -> None:
        """Begin to watch."""
        self._watch_all()
        self._functions.look = self.look
        descriptor = self._watch.fileno()
        if descriptor is not None:
            asyncio.get_running_loop().add_reader(descriptor, self.look)
        self._look_later()
        self._start_task(self._watch_libraries())

    def stop(self) -> None:
        """End it."""
        descriptor = self._watch.fileno()
        if descriptor is not None:
            asyncio.get_running_loop().remove_reader(descriptor)
        self._functions.look = lambda: None
        for timer in self._timers.values():
            timer.cancel()
        for task in self._tasks:
            task.cancel()
        self._watch.close()

    def _code_folders(self) -> set[Path]:
        return {function.code for function in self._real.values()}

    def _folders_of_others(self) -> frozenset[Path]:
        """Return the folders whose code does not run in the Python of this process, whose syntax is checked."""
        return frozenset(function.code for function in self._real.values() if not forks(function))

    def _watch_all(self) -> None:
        sources = {source for function in self._real.values() for source in (function.code, *function.sources)}
        trees = {source for source in sources if not source.is_file()}
        self._watch.watch(Watched(self._files | (sources - trees), frozenset(trees), self._libraries))
        if self._watch.limited:
            self._note(f"Not every change is seen: {self._watch.limited}.")
            self._watch.limited = ""

    async def _watch_libraries(self) -> None:
        folders = {Path(folder) for folder in await self._functions.library_folders()}
        # Where packages are installed: an installer writes there which version there is.
        folders |= {parent for folder in folders for parent in folder.parents if parent.name.endswith("-packages")}
        self._libraries = frozenset(folders)
        self._watch_all()

    def _look_later(self) -> None:
        """Look again after a while, whatever the system tells: a folder may be away while a build writes it anew."""
        self.look()
        self._timers["look"] = self._clock.call_later(_LOOK_SECONDS, self._look_later)

    def look(self) -> None:
        """Take what has changed since the last look. An event comes after this, whatever happens here."""
        try:
            if changed := self._watch.changed():
                self._take(changed)
        except Exception as error:
            self._note_failure(error)

    def _take(self, changed: set[Path]) -> None:
        now = time.perf_counter()
        code = {folder: found for folder in self._code_folders() if (found := self._code_in(folder, changed))}
        slow = {path for path in changed if self._is_slow(path)}
        if code:
            self._began.setdefault("code", now)
            self._take_code(code)
        if slow:
            self._began.setdefault("slow", now)
            self._slow |= slow
            self._later("slow", SETTLED_SECONDS, self._renew_all)

    def _code_in(self, folder: Path, changed: set[Path]) -> set[Path]:
        below = {path for path in changed - self._files if path == folder or folder in path.parents}
        return {path for path in below if self._sources.may_load(folder, path)}

    def _is_slow(self, path: Path) -> bool:
        functions = self._real.values()
        others = (source for function in functions for source in function.sources if source != function.code)
        return path in self._files or path.parent in self._libraries or is_in(others, {path})

    def _take_code(self, changed: Mapping[Path, set[Path]]) -> None:
        """Let functions whose code has changed load it anew, unless Python cannot read it."""
        good, errors = set(), []
        for folder, paths in changed.items():
            if found := self._sources.take(folder, paths):
                errors += found if folder.is_dir() else []
            else:
                good.add(folder)
        names = {name for name, each in self._real.items() if each.code in good and _has_handler(each)}
        self._restart += self._renew_functions(names)
        # What is beside the code counts from the next event on, and nobody has asked for a line on it.
        told = [path for folder in good for path in sorted(changed[folder]) if self._sources.has(folder, path)]
        self._told += [path for path in told if path not in self._told]
        if errors:
            self._record(error=f"{'; '.join(errors)}. The code before it goes on")
        if told:
            self._later("code", QUIET_SECONDS, self._start_again)

    def _renew_functions(self, changed: Collection[str]) -> list[str]:
        functions = {
            name: replace(function, code=self._sources.current(function.code)) for name, function in self._real.items()
        }
        return self._functions.renew(functions, changed)

    async def _start_again(self) -> None:
        """Start those that ran before, one after the other: the event that comes meanwhile has a core for itself."""
        restart, self._restart = list(dict.fromkeys(self._restart)), []
        told, self._told = self._told, []
        began = self._began.pop("code", None)
        await self._start_first(restart, told, began)
        for name in restart[1:]:
            await self._functions.start_again(name)
        if self._sources.imports_more():
            async with self._changing:
                if await self._functions.renew_libraries(changed=False):
                    await self._watch_libraries()

    async def _start_first(
        self, names: Sequence[str], changed: Collection[Path], began: float | None, what: Collection[str] = ()
    ) -> None:
        """Start the function that was used last, and say how long it took, or why it does not start."""
        failed = await self._functions.start_again(names[0]) if names else ""
        error = f"{names[0]} does not start: {failed}. Its events fail until it does" if failed else None
        self._record(changed, functions=names, began=began, what=what, error=error)

    async def _renew_all(self) -> None:
        """Load the template, the variables and the layers anew, and the libraries if they have changed."""
        changed, self._slow = self._slow, set()
        began = self._began.pop("slow", None)
        async with self._changing:
            try:
                template, overrides = await asyncio.to_thread(self._read)
                provisioned = self._emulator.provisioned(template, overrides)
                if refused := refusal(self._emulator.template, provisioned):
                    raise StartError(refused)
                await self._emulator.create(provisioned)
            except StartError as error:
                return self._record(sorted(changed), error=f"{_one_line(error)} The template before it goes on.")
            await self._renew_with(template, overrides, provisioned, changed, began)
        return None

    async def _renew_with(
        self,
        template: Template,
        overrides: Mapping[str, str],
        provisioned: Template,
        changed: set[Path],
        began: float | None,
    ) -> None:
        before = self._emulator.template
        functions = kept(self._real, provisioned.functions, changed)
        renewed = changed_functions(self._real, functions)
        renewed |= {name for name, each in functions.items() if is_in(each.sources[1:], changed)}
        self._real = functions
        for folder in self._code_folders():
            self._sources.add(folder)
        self._sources.unchecked = self._folders_of_others()
        restart = self._renew_functions(renewed)
        await self._emulator.renew(template, overrides)
        libraries = any(path.parent in self._libraries for path in changed)
        if libraries:
            restart = [*restart, *self._renew_functions(functions)]
        await self._functions.renew_libraries(changed=libraries)
        self._watch_all()
        self._start_task(self._watch_libraries())
        for note in provisioned.notes:
            if note not in before.notes:
                self._note(note)
        what = summary(before, provisioned) + (["libraries"] if libraries else [])
        await self._start_first(restart, sorted(changed), began, what)

    def _later(self, name: str, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        if name in self._timers:
            self._timers[name].cancel()
        self._timers[name] = self._clock.call_later(seconds, lambda: self._start_task(work()))

    def _start_task(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._end_task)

    def _end_task(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._note_failure(error)

    def _note_failure(self, error: BaseException) -> None:
        self._note(f"A change was not loaded: {type(error).__name__}: {error}. Save the file again.")

    def _note(self, text: str) -> None:
        self._trace.record("note", text=text)

    def _record(
        self,
        changed: Collection[Path] = (),
        *,
        functions: Collection[str] = (),
        began: float | None = None,
        what: Collection[str] = (),
        error: str | None = None,
    ) -> None:
        took = {} if began is None or error else {"milliseconds": round((time.perf_counter() - began) * 1000, 1)}
        self._trace.record(
            "reload",
            changed=[_short(path) for path in changed],
            functions=list(functions),
            what=list(what),
            error=error,
            **took,
        )


def _has_handler(function: Function) -> bool:
    """Tell if a function's handler is there: a build may be writing its folder anew, one file after the other."""
    module = function.code / function.handler.rpartition(".")[0].replace(".", "/")
    is_python = not function.runtime or function.runtime.startswith("python")
    return not is_python or module.is_dir() or any(module.parent.glob(f"{module.name}.*"))


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if text.endswith((".", "`")) else f"{text}."


def _short(path: Path) -> str:
    with suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)
