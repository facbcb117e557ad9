"""Access keys tell which function makes a call; one that several functions have tells nothing."""

import pytest
from parley.functions.processes.client import Processes


@pytest.fixture
def processes():
    return Processes()


def test_a_key_tells_its_function(processes):
    processes.note_caller("KEY1", "Connect")
    processes.note_caller("KEY2", "Deliver")
    processes.note_caller("KEY2", "Deliver")
    assert [processes.caller(key) for key in ("KEY1", "KEY2", "KEY3", "")] == ["Connect", "Deliver", "", ""]


def test_a_key_of_several_functions_tells_nothing(processes):
    for name in ("Connect", "Deliver", "Connect"):
        processes.note_caller("shared", name)
    assert processes.caller("shared") == ""
