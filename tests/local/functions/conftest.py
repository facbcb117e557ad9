"""Fixtures of the Lambda service's tests."""

import os
import sys

import pytest

from tests.support.lambda_service import serve as serve


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
