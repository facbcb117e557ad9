"""The emulator's log, line by line."""

import io
import json
import re

import pytest
from parley.cli.log import Log
from parley.trace import Trace


def lines_of(record, terminal=False):
    out = io.StringIO()
    out.isatty = lambda: terminal
    log, trace = Log(out), Trace(clock=lambda: 0.0)
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


def test_posts_in_a_row_to_one_connection_are_one_line():
    def record(trace):
        for connection_id in ("a=", "a=", "a=", "b=", "a="):
            trace.record("post", connection_id=connection_id, status=200, bytes=5)

    assert lines_of(record) == ["post     a= 200 × 3", "post     b= 200", "post     a= 200"]


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


def test_tabs_of_functions_stay():
    assert lines_of(lambda trace: trace.record("log", function="F", request_id="r", line="a\tb")) == [
        "log      F │ a\tb"
    ]
