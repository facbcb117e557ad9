"""A Lambda service whose functions a test writes as source text."""

from __future__ import annotations

import asyncio
import json
import textwrap
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from parley.clock import Clock
from parley.functions.invocation import Outcome
from parley.functions.processes.launch import start_zygote
from parley.functions.runner import runner_for
from parley.functions.service import Functions
from parley.template.model import LATEST, Function, InvokeConfig
from parley.trace import Trace

from tests.support.process_tree import is_running
from tests.support.waiting import HANGS

TOGETHER = """
import os, pathlib, time

def handler(event, context):
    pathlib.Path(f"{os.getpid()}.here").touch()
    while len(list(pathlib.Path().glob("*.here"))) < event:
        time.sleep(0.01)
    return os.getpid()
"""
"""A function that goes on once so many of its environments have an event as the event says, and returns its process."""

_OF_THE_SERVICE = ("mode", "environments", "environments_of", "interpreter_of", "zygote", "freezes", "suffix")


class LambdaService:
    """A Lambda service whose functions are written into a folder, each into a file of its own name.

    `environments_of` are the variables of single functions, and `interpreter_of` their interpreters. `zygote` is the
    plan of a zygote that differs from the usual, `suffix` the end of the files' names.
    """

    def __init__(self, folder: Path, sources: Mapping[str, str], options: Mapping[str, Any]) -> None:
        self.trace = Trace(size=100_000)
        service = {name: value for name, value in options.items() if name in ("retry_delay", "duplicates", "clock")}
        mode, environments = options.get("mode", "process"), options.get("environments", 10)
        function = {name: value for name, value in options.items() if name not in (*service, *_OF_THE_SERVICE)}
        self.folder = folder
        suffix = options.get("suffix", ".py")
        functions = {name: self._function(folder, name, source, function, suffix) for name, source in sources.items()}
        for name, environment in options.get("environments_of", {}).items():
            functions[name] = replace(functions[name], environment=environment)
        for name, interpreter in options.get("interpreter_of", {}).items():
            functions[name] = replace(functions[name], interpreter=interpreter)
        self.sent: list[tuple[str, str, Mapping[str, str]]] = []
        zygote = start_zygote(options["zygote"]) if "zygote" in options else None
        self.runners_clock = Clock()
        runner = runner_for(
            mode,
            functions,
            self.trace,
            environments=environments,
            clock=self.runners_clock,
            zygote=zygote,
            freezes=options.get("freezes", True),
        )
        self.lambda_ = Functions(functions, self.trace, runner, enqueue=lambda *sent: self.sent.append(sent), **service)

    @staticmethod
    def _function(folder: Path, name: str, source: str, options: Mapping[str, Any], suffix: str) -> Function:
        code = folder / name
        code.mkdir()
        (code / f"{name}{suffix}").write_text(textwrap.dedent(source))
        fields = {
            "handler": f"{name}.handler",
            "code": code,
            "timeout": 10.0,
            "memory": 128,
            "environment": {},
        }
        invoke = {
            each: options[each] for each in ("retries", "max_event_age", "on_success", "on_failure") if each in options
        }
        fields |= {each: value for each, value in options.items() if each not in invoke}
        configs = {LATEST: InvokeConfig(**invoke)}
        return Function(name=name, invoke_configs=configs, **fields)

    async def invoke(self, name: str, event: Any = None) -> Outcome:
        return await self.lambda_.invoke(name, json.dumps(event).encode())

    async def answer(self, name: str, event: Any = None) -> Any:
        """Invoke a function that must succeed, and return what it answered."""
        outcome = await self.invoke(name, event)
        assert outcome.function_error is None, outcome.payload
        return json.loads(outcome.payload)

    async def failure(self, name: str, event: Any = None) -> Any:
        """Invoke a function that must fail, and return its error."""
        outcome = await self.invoke(name, event)
        assert outcome.function_error == "Unhandled"
        return json.loads(outcome.payload)

    def traced(self, kind: str) -> list[dict[str, Any]]:
        return [event.fields for event in self.trace.after(0) if event.kind == kind]

    def lines(self) -> list[str]:
        return [fields["line"] for fields in self.traced("log")]

    async def until(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until so many events of a kind are there, and return them."""
        recorded = asyncio.Event()
        self.trace.listen(lambda _: recorded.set())
        async with asyncio.timeout(HANGS):
            while len(found := self.traced(kind)) < count:
                recorded.clear()
                await recorded.wait()
        return found

    async def until_process_ends(self, pid: int) -> None:
        """Wait until there is no such process any more."""
        async with asyncio.timeout(HANGS):
            while is_running(pid):  # noqa: ASYNC110 - nothing to be told by
                await asyncio.sleep(0.01)

    async def until_no_process(self) -> None:
        """Wait until the emulator knows that all environments have ended."""
        await self.until_living(0)

    async def until_living(self, count: int) -> None:
        """Wait until the emulator knows of at most so many environments."""
        async with asyncio.timeout(HANGS):
            while len(self.lambda_._runner._processes._living) > count:  # noqa: ASYNC110 - nothing to be told by
                await asyncio.sleep(0.01)


@pytest.fixture
async def serve(tmp_path):
    """Start a Lambda service of the given functions' sources; ended with the test."""
    services = []

    async def start(_options: Mapping[str, Any] | None = None, **sources: str) -> LambdaService:
        service = LambdaService(tmp_path, sources, _options or {})
        services.append(service)
        await service.lambda_.start()
        return service

    yield start
    for service in services:
        await service.lambda_.stop()
