"""The reloader where something fails that should not: events come all the same, and the log says it."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from parley.emulator.reload.reloader import SETTLED_SECONDS, Reloader
from parley.template.model import Template
from parley.trace import Trace

from tests.support.clock import ManualClock, settle


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def trace():
    return Trace()


def reloader(changes, clock, trace, read=lambda: None):
    """Return a reloader of a template without functions, which is told these changes one after the other."""
    watch = SimpleNamespace(changed=lambda: changes.pop(0)() if changes else set())
    emulator = SimpleNamespace(template=Template({}, (), (), ()), functions=SimpleNamespace())
    return Reloader(emulator, watch, read, {Path("/p/template.yaml")}, {}, trace, clock)


def notes(trace):
    return [event.fields["text"] for event in trace.after(0) if event.kind == "note"]


async def test_an_event_is_not_lost_if_changes_cannot_be_read(clock, trace):
    def fails():
        raise OSError("too many open files")

    it = reloader([fails], clock, trace)
    it.look()
    it.look()
    assert notes(trace) == ["A change was not loaded: OSError: too many open files. Save the file again."]


async def test_what_fails_while_the_template_is_read_is_told(clock, trace):
    def fails():
        raise KeyError("a bug")

    it = reloader([lambda: {Path("/p/template.yaml")}], clock, trace, fails)
    it.look()
    await clock.advance(SETTLED_SECONDS)
    while not notes(trace):  # the template is read in a thread
        await settle()
    assert notes(trace) == ["A change was not loaded: KeyError: 'a bug'. Save the file again."]


async def test_the_template_is_read_when_nothing_has_changed_for_a_moment(clock, trace):
    read = []
    changed = {Path("/p/template.yaml")}
    it = reloader(
        [lambda: changed, lambda: changed, lambda: {Path("/p/other.yaml")}], clock, trace, lambda: read.append(1)
    )
    for _ in range(2):
        it.look()
        await clock.advance(SETTLED_SECONDS * 0.9)
    assert read == []
    it.look()  # another file does not put it off
    await clock.advance(SETTLED_SECONDS * 0.2)
    while not read:
        await settle()
    assert read == [1]
