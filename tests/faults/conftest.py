"""Quiet logs, and boto3 clients that are made at import without an account."""

import logging
import os

os.environ.setdefault("AWS_REGION", "us-east-1")
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

import pytest


@pytest.fixture(autouse=True)
def quiet():
    """A simulated world logs more than anybody reads."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
