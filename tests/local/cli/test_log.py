"""The emulator's log, line by line."""

import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley.cli.log import MOST_CHECKS, Detail, Log
from parley.trace import Trace


def lines_of(record, terminal=False, detail=Detail.NORMAL):
    out = io.StringIO()
    out.isatty = lambda: terminal
    log, trace = Log(out, detail), Trace(clock=lambda: 0.0)
    trace.listen(log.write)
    record(trace)
    log.close()
    return [line.partition(" ")[2] for line in out.getvalue().splitlines()]


def test_an_invocation_says_route_function_time_and_temperature():
    def record(trace):
        for cold in (True, False):
            told = {"route": "$connect", "function": "Connect", "milliseconds": 12.3, "cold": cold, "error": None}
            trace.record("route", connection_id="c1=", **told)

    assert lines_of(record) == [
        "route    c1= $connect → Connect 12 ms cold",
        "route    c1= $connect → Connect 12 ms warm",
    ]


def post(trace, connection_id, status=200):
    """Record a post as the gateway does: between the frame that it sends and the call that it is."""
    if status == 200:
        trace.record("frame_out", connection_id=connection_id, bytes=5)
    trace.record("post", method="POST", connection_id=connection_id, status=status, bytes=5)
    called = {"service": "execute-api", "operation": "PostToConnection", "caller": "Work", "milliseconds": 0.5}
    trace.record("call", status=status, **called)


def test_posts_to_one_connection_are_one_line():
    def record(trace):
        for connection_id in ("a=", "a=", "a=", "b=", "a="):
            post(trace, connection_id)

    assert lines_of(record) == ["post     a= 200 × 4", "post     b= 200"]


def test_posts_that_end_otherwise_have_a_line_of_their_own():
    def record(trace):
        for status in (200, 200, 429, 200, 410, 410):
            post(trace, "a=", status)

    assert lines_of(record) == ["post     a= 200 × 3", "post     a= 429", "post     a= 410 × 2"]


def test_posts_come_before_the_next_line_and_after_the_last_one():
    def record(trace):
        for ending in ("first", "second"):
            post(trace, "a=")
            post(trace, "a=")
            trace.record("note", text=ending)
        post(trace, "a=")

    assert lines_of(record) == [
        "post     a= 200 × 2",
        "note     first",
        "post     a= 200 × 2",
        "note     second",
        "post     a= 200",
    ]


@given(st.lists(st.sampled_from(["a=", "b=", "note", "end"])))
def test_no_post_is_lost_and_none_is_told_twice(what):
    def record(trace):
        for each in what:
            if each == "note":
                trace.record("note", text="note")
            elif each == "end":
                trace.record("end", caller="gateway", function="F", milliseconds=1.0, cold=False, error=None)
            else:
                post(trace, each)

    told = {"a=": 0, "b=": 0}
    for line in lines_of(record):
        kind, connection_id, *rest = line.split()
        if kind == "post":
            told[connection_id] += int(rest[2]) if len(rest) > 1 else 1
    assert told == {each: what.count(each) for each in told}


class TestPostsWithoutAnotherLine:
    """A log whose clock is the test's: `due` are the checks that it waits for."""

    @pytest.fixture
    def due(self):
        return []

    @pytest.fixture
    def out(self):
        return io.StringIO()

    @pytest.fixture
    def trace(self, out, due):
        trace = Trace()
        trace.listen(Log(out, later=lambda seconds, action: due.append(action)).write)
        return trace

    def test_they_have_their_line_after_a_while_without_posts(self, trace, out, due):
        post(trace, "a=")
        due.pop()()
        post(trace, "a=")
        due.pop()()
        assert out.getvalue() == ""
        due.pop()()
        assert out.getvalue().endswith("a= 200 × 2\n")
        assert due == []

    def test_posts_without_end_have_one_now_and_then(self, trace, out, due):
        for _ in range(MOST_CHECKS):
            post(trace, "a=")
            due.pop()()
        assert out.getvalue().endswith(f"a= 200 × {MOST_CHECKS}\n")
        assert due == []

    def test_one_check_is_enough_for_any_number_of_posts(self, trace, due):
        for _ in range(3):
            post(trace, "a=")
            trace.record("note", text="")
        assert len(due) == 1

    def test_posts_after_a_line_wait_as_long_as_any(self, trace, out, due):
        post(trace, "a=")
        due.pop()()
        trace.record("note", text="")
        post(trace, "b=")
        due.pop()()
        assert "b=" not in out.getvalue()
        due.pop()()
        assert out.getvalue().endswith("b= 200\n")


def everything(trace):
    trace.record("open", connection_id="a=")
    trace.record("frame_in", connection_id="a=", bytes=9)
    trace.record("start", function="F", request_id="r", caller="gateway", cold=True)
    trace.record("log", function="F", request_id="r", line="said")
    post(trace, "a=")
    post(trace, "a=")
    post(trace, "a=", 410)
    for error in (None, "Wrong"):
        trace.record("end", function="F", caller="gateway", milliseconds=1.0, cold=True, error=error)
        told = {"route": "$default", "function": "F", "milliseconds": 1.0, "cold": True, "error": error}
        trace.record("route", connection_id="a=", **told)
    trace.record("fault", point="post", do="lose", after=False)
    trace.record("close", connection_id="a=", code=1000, cause="the client closed it")
    trace.record("close", connection_id="b=", code=1001, cause="idle for 600 s", limit="10 minutes", document="quotas")


def test_a_quiet_log_has_what_functions_say_and_what_goes_wrong():
    assert lines_of(everything, detail=Detail.QUIET) == [
        "log      F │ said",
        "post     a= 410",
        "route    a= $default → F 1 ms cold  Wrong",
        "close    b= 1001: idle for 600 s; 10 minutes: quotas",
    ]


def test_a_verbose_log_has_a_line_for_everything():
    assert lines_of(everything, detail=Detail.VERBOSE) == [
        "open     a=",
        "frame_in a= ← 9 bytes",
        "start    gateway → F r",
        "log      F │ said",
        *["frame_out a= → 5 bytes", "post     a= 200", "call     Work → execute-api PostToConnection 0 ms 200"] * 2,
        "post     a= 410",
        "call     Work → execute-api PostToConnection 0 ms 410",
        "end      gateway → F 1 ms cold",
        "route    a= $default → F 1 ms cold",
        "end      gateway → F 1 ms cold  Wrong",
        "route    a= $default → F 1 ms cold  Wrong",
        "fault    lose at post",
        "close    a= 1000: the client closed it",
        "close    b= 1001: idle for 600 s; 10 minutes: quotas",
    ]


def test_an_event_that_waits_names_the_option_that_helps():
    def record(trace):
        for environments in (10, 1):
            trace.record("wait", function="F", request_id="r", environments=environments)

    assert lines_of(record) == [
        "wait     F waits: all 10 environments are busy; PARLEY_ENVIRONMENTS=20 allows more",
        "wait     F waits: the one environment is busy; PARLEY_ENVIRONMENTS=2 allows more",
    ]


def test_an_invocation_by_the_gateway_is_one_line():
    def record(trace):
        for caller in ("gateway", "event"):
            told = {"function": "Work", "milliseconds": 5.0, "cold": False, "error": None}
            trace.record("end", caller=caller, **told)

    assert lines_of(record) == ["end      event → Work 5 ms warm"]


def test_json_logs_are_shortened_on_a_terminal_only():
    said = '{"level":"INFO","message":"handled","service":"parley","function_name":"f","chat_id":"c"}'

    def record(trace):
        trace.record("log", function="Default", request_id="r", line=said)

    assert lines_of(record) == [f"log      Default │ {said}"]
    [line] = lines_of(record, terminal=True)
    assert "Default │ INFO handled chat_id=c" in line
    assert "parley" not in line


def test_metrics_are_left_to_the_trace():
    metrics = '{"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"n","Dimensions":[[]],"Metrics":[]}]},"a":1}'
    others = ('{"text":"\\"CloudWatchMetrics\\""}', '"CloudWatchMetrics"', '{"_aws":1,"CloudWatchMetrics":[]}', "{")

    def record(trace):
        for line in (metrics, *others):
            trace.record("log", function="Work", line=line)

    assert lines_of(record) == [f"log      Work │ {line}" for line in others]


def test_nothing_is_written_after_the_end():
    def record(trace):
        trace.record("open", connection_id="a=")

    out = io.StringIO()
    log, trace = Log(out), Trace()
    trace.listen(log.write)
    log.close()
    record(trace)
    assert out.getvalue() == ""


@pytest.mark.parametrize("terminal", [False, True])
def test_a_terminal_gets_no_control_characters_of_others(terminal):
    hostile = "\x1b]0;owned\x07\r\nfake line \x9b2J"

    def record(trace):
        trace.record("refuse", path=f"/{hostile}", status=403, why=hostile)
        trace.record("log", function="Default", request_id="r", line=hostile)
        trace.record("log", function="Default", request_id="r", line=json.dumps({"level": "INFO", "message": hostile}))

    lines = lines_of(record, terminal)
    assert len(lines) == 3
    own = re.compile(r"\x1b\[\d*m")
    assert all(own.sub("", line).isprintable() for line in lines)


@pytest.mark.parametrize(("printed", "shown"), [("a\tb", "a\tb"), ("a\t\x1b[2Jb", "a\t�[2Jb")])
def test_tabs_of_functions_stay(printed, shown):
    assert lines_of(lambda trace: trace.record("log", function="F", request_id="r", line=printed)) == [
        f"log      F │ {shown}"
    ]


class TestReload:
    def line(self, **fields):
        told = {
            "changed": ["code/app.py"],
            "functions": ["Echo"],
            "what": [],
            "error": None,
            "milliseconds": 84.6,
            **fields,
        }
        [line] = lines_of(lambda trace: trace.record("reload", **told))
        return line

    def test_it_says_what_was_saved_and_when_the_function_that_ran_last_is_ready(self):
        assert self.line() == "reload   code/app.py: Echo is ready again after 85 ms"
        assert self.line(functions=["A", "B", "C"]).endswith("A is ready again after 85 ms, 2 more follow")

    def test_without_a_function_that_ran_there_is_nothing_to_wait_for(self):
        assert self.line(functions=[]) == "reload   code/app.py: loaded at the next event"

    def test_many_files_are_counted(self):
        line = self.line(changed=list("abcde"), what=["+Rows", "Api"])
        assert line == "reload   a, b, c and 2 more (+Rows, Api): Echo is ready again after 85 ms"

    def test_a_quiet_log_has_what_cannot_be_loaded(self):
        def record(trace):
            for error in (None, "app.py, line 1: invalid syntax. The code before it goes on"):
                trace.record("reload", changed=[], functions=[], what=[], error=error)

        lines = lines_of(record, detail=Detail.QUIET)
        assert lines == ["reload   app.py, line 1: invalid syntax. The code before it goes on"]
