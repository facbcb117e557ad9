"""Metrics of turns that the emulator runs: as on AWS, a line of the worker's output for each set of dimensions."""

import json
import urllib.request

from tests.support.waiting import until


def documents(emulator, message_id):
    """The documents of a turn, from the trace."""
    with urllib.request.urlopen(f"{emulator.url}/_parley/trace") as answer:
        lines = [each["line"] for each in json.load(answer) if each["kind"] == "log"]
    return [json.loads(line) for line in lines if "turn_metrics" in line and message_id in line]


def test_a_turn_is_measured_and_the_log_stays_readable(emulator, device):
    alice = device()
    alice.join("alice")
    alice.create_chat()
    *_, complete = alice.ask("/long 5")
    message_id = complete["data"]["messageId"]
    until(lambda: len(documents(emulator, message_id)) == 4)  # they come after the end of the reply
    written = documents(emulator, message_id)
    values = {name: value for each in written for name, value in each.items() if isinstance(value, list)}
    assert values["parley.turn.cost"] == [complete["data"]["cost"]["usd"]]
    assert values["parley.turn.frames"] == [complete["data"]["cost"]["frames"]]
    assert values["parley.turns"] == [1.0]
    assert 0 < values["gen_ai.client.operation.time_to_first_chunk"][0] < values["gen_ai.client.operation.duration"][0]
    assert values["parley.turn.time_to_first_text"][0] > values["gen_ai.client.operation.time_to_first_chunk"][0]
    assert {each["gen_ai.token.type"] for each in written if "gen_ai.token.type" in each} == {"input", "output"}
    for each in written:
        assert each["_aws"]["CloudWatchMetrics"][0]["Namespace"].startswith("Parley/")
    assert not any("_aws" in line for line in emulator.output)
