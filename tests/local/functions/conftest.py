import pytest


@pytest.fixture(autouse=True)
def always_restored(restored_process):
    """Functions run inline in many of these tests, and change this process."""
