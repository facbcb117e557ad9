import os
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.lambda_service import LambdaService


@pytest.fixture(autouse=True)
def untouched(tmp_path):
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
