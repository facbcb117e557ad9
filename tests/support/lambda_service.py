"""A Lambda service with functions that a test has written."""

import asyncio
import json
import os
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from parley.functions.invocation import Outcome
from parley.functions.service import Functions
from parley.template.model import LATEST, Function, InvokeConfig
from parley.trace import Trace


class LambdaService:
    """A Lambda service whose functions are written into a folder, each into a file of its own name."""

    def __init__(self, folder: Path, sources: Mapping[str, str], options: Mapping[str, Any]) -> None:
        self.trace = Trace(size=100_000)
        settings = {"mode": "process", "environments": 10, "retry_delay": 60.0, "duplicates": 0.0}
        service = {name: options.get(name, value) for name, value in settings.items()}
        function = {name: value for name, value in options.items() if name not in settings}
        functions = {name: self._function(folder, name, source, function) for name, source in sources.items()}
        self.sent: list[tuple[str, str, Mapping[str, str]]] = []
        self.lambda_ = Functions(functions, self.trace, enqueue=lambda *sent: self.sent.append(sent), **service)

    @staticmethod
    def _function(folder: Path, name: str, source: str, options: Mapping[str, Any]) -> Function:
        code = folder / name
        code.mkdir()
        (code / f"{name}.py").write_text(textwrap.dedent(source))
        fields = {
            "timeout": 10.0,
            "memory": 128,
            "environment": {},
        }
        invoke = {
            each: options[each] for each in ("retries", "max_event_age", "on_success", "on_failure") if each in options
        }
        fields |= {each: value for each, value in options.items() if each not in invoke}
        configs = {LATEST: InvokeConfig(**invoke)}
        return Function(name=name, handler=f"{name}.handler", code=code, invoke_configs=configs, **fields)

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
        return [happening.fields for happening in self.trace.after(0) if happening.kind == kind]

    def lines(self) -> list[str]:
        return [fields["line"] for fields in self.traced("log")]

    async def until(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until so many happenings of a kind are there, and return them."""
        recorded = asyncio.Event()
        self.trace.listen(lambda _: recorded.set())
        async with asyncio.timeout(5):
            while len(found := self.traced(kind)) < count:
                recorded.clear()
                await recorded.wait()
        return found


@pytest.fixture
def restored_process(tmp_path):
    """Put this process's variables and modules back, which functions that run inline change."""
    variables, path = dict(os.environ), list(sys.path)
    yield
    os.environ.clear()
    os.environ.update(variables)
    sys.path[:] = path
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
async def serve(tmp_path, restored_process):
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
