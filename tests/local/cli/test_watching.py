"""Following a trace: to its end, over the end of the emulator, and into the next run."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import islice
from typing import Any

import pytest
from parley.cli.watching import NoEmulator, Page, Watched, follow
from parley.errors import StartError

from tests.support.scripted_pages import ScriptedPages


def page(run, *numbers, last=None):
    events = [{"number": number, "run": run} for number in numbers]
    return Page(events, (numbers[-1] if numbers else 0) if last is None else last, run)


def followed(pages, count):
    """The first events that are followed, what was told, and how often it slept."""
    told, slept = [], []
    emulator = ScriptedPages(pages)
    events = list(islice(follow(emulator, {"kind": "post"}, told.append, slept.append), count))
    return [(each["run"], each["number"]) for each in events], told, len(slept), emulator.asked


@pytest.mark.parametrize(("status", "is_gone"), [(500, True), (503, True), (400, False), (404, False)])
def test_an_emulator_that_ends_is_told_from_one_that_refuses(status, is_gone):
    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(status)

        def log_message(self, *_: Any) -> None:
            """Say nothing on stderr."""

    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(StartError) as error:
            Watched(server.server_port).page({}, 0)
        server.shutdown()
    assert isinstance(error.value, NoEmulator) == is_gone


def test_what_is_there_comes_first_and_then_each_new_one():
    events, told, _, asked = followed([page("a", 1, 2), page("a", last=5), page("a", 6)], 3)
    assert events == [("a", 1), ("a", 2), ("a", 6)]
    assert told == []
    # What a filter has left out is not looked at again.
    assert asked == [(0, False), (2, True), (5, True)]


def test_after_a_restart_it_goes_on_with_the_new_run_from_its_beginning():
    gone = NoEmulator("gone")
    events, told, slept, asked = followed([page("a", 7), gone, gone, gone, page("b", 1, 2)], 3)
    assert events == [("a", 7), ("b", 1), ("b", 2)]
    assert len(told) == 1
    assert slept == 3
    assert asked[-1] == (0, False)


def test_a_restart_that_it_has_not_noticed_is_one_too():
    events, told, _, _ = followed([page("a", 7), page("b", 9), page("b", 1, 9)], 3)
    assert events == [("a", 7), ("b", 1), ("b", 9)]
    assert told == []


def test_without_an_emulator_at_the_beginning_it_ends():
    with pytest.raises(NoEmulator):
        followed([NoEmulator("none")], 1)


def test_a_refusal_is_no_end_of_the_emulator():
    with pytest.raises(StartError, match="no number"):
        followed([page("a", 1), StartError("after=x is no number")], 2)
