"""The memory of a process: measured exactly where it has grown, and not again where it has not."""

import os

import pytest
from parley.functions.processes import memory
from parley.functions.processes.memory import MemoryMeter

MB = 2**20


@pytest.fixture
def process(monkeypatch):
    """The memory of a made-up process: what it has, what of that is its own, and how often the latter was asked for."""
    sizes = {"resident": 100.0, "private": 10.0, "walks": 0}

    def walk(pid):
        sizes["walks"] += 1
        return sizes["private"]

    monkeypatch.setattr(memory, "_resident_mb", lambda pid: sizes["resident"])
    monkeypatch.setattr(memory, "_private_mb", walk)
    return sizes


def test_what_a_process_allocates_is_measured():
    meter = MemoryMeter(os.getpid())
    before = meter.used_mb()
    kept = bytearray(os.urandom(MB)) * 32
    assert before + 31 <= meter.used_mb()
    assert len(kept) == 32 * MB


def test_a_process_that_has_not_grown_is_not_walked_again(process):
    meter = MemoryMeter(1)
    assert [meter.used_mb() for _ in range(10)] == [50.0] * 10
    assert process["walks"] == 1


def test_a_process_that_has_grown_is_walked_again(process):
    meter = MemoryMeter(1)
    meter.used_mb()
    process.update(resident=120.0, private=30.0)
    assert meter.used_mb() == 70.0
    assert process["walks"] == 2


def test_a_process_that_is_gone_uses_nothing():
    assert MemoryMeter(2**30).used_mb() == 0.0
