"""Fixtures of the tests of functions in JavaScript."""

from tests.support.lambda_service import serve as serve
