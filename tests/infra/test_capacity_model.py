"""The model of load and cost: its sums, the code that it describes, and the document that holds its tables."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from dataclasses import astuple, replace
from datetime import timedelta
from math import inf
from pathlib import Path

import pytest
from parley.template.source import load as load_template

from handlers.chat import deliverer
from handlers.chat.concurrency import Runtime
from handlers.chat.cost import TOKEN_PRICES, Units
from handlers.chat.cost import Prices as TurnPrices
from handlers.chat.cost import Use as Used
from handlers.chat.records import FinishReason, Usage
from handlers.chat.replies import monitor, relay
from handlers.chat.replies.attempt import ModelCall
from handlers.chat.replies.metrics import MetricWriter, TurnRecord
from handlers.chat.turns import lifecycle
from infra.capacity.model import (
    A_CONNECTION,
    A_PING,
    DELIVER_GB,
    METRIC_BYTES,
    Design,
    Use,
    a_broadcast,
    a_turn,
    broadcast_seconds,
    load,
)
from infra.capacity.quotas_and_prices import PRICES, breaks_at, monthly, quotas, tiered
from infra.capacity.tables import DOCUMENT, SCALES, document, filled_in, number, tables
from tests.support.waiting import HANGS

ROOT = Path(__file__).parents[2]
DESIGN, USE = Design(), Use()
VIRGINIA = PRICES["us-east-1"]


class TestTheDocument:
    def test_its_tables_are_what_the_model_says_today(self):
        assert DOCUMENT.read_text() == document(), "write them again: .venv/bin/python -m infra.capacity --document"

    def test_it_has_every_table_once(self):
        text = DOCUMENT.read_text()
        for name in tables(SCALES, DESIGN, USE, VIRGINIA):
            assert text.count(f"<!-- capacity: {name} -->") == 1

    def test_only_what_is_between_the_marks_is_replaced(self):
        before = "One\n<!-- capacity: turn -->\nold\n<!-- end -->\ntwo\n<!-- capacity: cost -->\n<!-- end -->\n"
        after = "One\n<!-- capacity: turn -->\n\nA\n\n<!-- end -->\ntwo\n<!-- capacity: cost -->\n\nB\n\n<!-- end -->\n"
        assert filled_in(before, {"turn": "A", "cost": "B"}) == after
        assert filled_in(after, {"turn": "A", "cost": "B"}) == after


class TestTheModelDescribesThisProject:
    @pytest.fixture
    def template(self):
        return load_template((ROOT / "infra" / "template.yaml").read_text())

    def test_the_worker_is_the_relays(self):
        assert (DESIGN.poll_seconds, DESIGN.young_poll_seconds) == (relay.POLL_SECONDS, monitor.YOUNG_POLL_SECONDS)
        assert (DESIGN.young_seconds, DESIGN.certain_seconds) == (monitor.YOUNG_SECONDS, monitor.CERTAIN_SECONDS)
        assert timedelta(seconds=DESIGN.lease_seconds) == lifecycle.RENEWAL

    def test_a_broadcast_has_the_chains_and_the_pace_of_the_deliverer(self):
        assert (DESIGN.broadcast_chains, DESIGN.broadcast_page) == (deliverer.SEGMENTS, deliverer.PAGE_CONNECTIONS)
        assert deliverer.PACE.per_second == DESIGN.broadcast_posts_per_second

    def test_the_settings_are_the_defaults_of_the_template(self, template):
        parameters = template["Parameters"]
        assert int(parameters["RelayPaceMs"]["Default"]) / 1000 == DESIGN.pace_seconds
        assert int(parameters["RelayLatePaceMs"]["Default"]) / 1000 == DESIGN.late_pace_seconds
        assert int(parameters["RelayLateSeconds"]["Default"]) == DESIGN.late_after_seconds
        assert int(parameters["RelayUnpacedFrames"]["Default"]) == DESIGN.unpaced_frames
        assert parameters["WorkerMemory"]["Default"] == DESIGN.worker_memory_mb
        assert parameters["SocketThrottleRate"]["Default"] == DESIGN.socket_throttle_rate

    def test_the_preset_prod_reserves_so_many_workers(self):
        presets = tomllib.loads((ROOT / "infra" / "samconfig.toml").read_text())
        overrides = presets["prod"]["deploy"]["parameters"]["parameter_overrides"]
        assert int(overrides["WorkerConcurrency"]) == DESIGN.prod_workers

    def test_the_functions_have_the_memory_and_time_that_it_counts_with(self, template):
        functions = {name: template["Resources"][name]["Properties"] for name in ("DefaultFunction", "DeliverFunction")}
        assert functions["DefaultFunction"]["MemorySize"] == 1024
        assert template["Globals"]["Function"]["MemorySize"] / 1024 == DELIVER_GB
        assert "MemorySize" not in functions["DeliverFunction"]
        # A page and all that a post may take fit into the time of the function.
        page_seconds = DESIGN.broadcast_page / DESIGN.broadcast_posts_per_second
        assert page_seconds + deliverer.RESERVE_SECONDS < functions["DeliverFunction"]["Timeout"]

    def test_the_prices_are_those_that_a_turn_reports(self):
        reported = TurnPrices()
        assert VIRGINIA.frames_million[0][1] == reported.frames
        assert VIRGINIA.write_units_million == reported.write_units
        assert VIRGINIA.read_units_million == reported.read_units
        assert VIRGINIA.invocations_million == reported.invocations
        assert VIRGINIA.gb_second[0][1] * 1_000_000 == pytest.approx(reported.gb_seconds)
        assert (VIRGINIA.prompt_tokens_million, VIRGINIA.completion_tokens_million) == TOKEN_PRICES["gpt-4o"]

    def test_the_metrics_of_a_turn_are_as_long_as_it_says(self, capsys):
        cost = TurnPrices().cost(Used(112, Units(33.5, 22), 2, 6.2), None, asked=False)
        call = ModelCall(Runtime())
        call.note("Hi")
        call.end()
        message_id = "019aa0c7-5a5e-7d3c-8f1e-0123456789ab"
        record = TurnRecord(message_id, FinishReason.STOP, cost, Usage(2_000, 500), call, 1.2345678)
        MetricWriter("Parley/parley-prod", "gpt-4o", Runtime()).write(record)
        assert len(capsys.readouterr().out) == pytest.approx(METRIC_BYTES, rel=0.05)

    def test_a_reply_has_the_frames_that_the_benchmark_of_the_relay_counts(self):
        # 500 tokens at 100/s with the start and the end. tests/faults/test_frames_and_reads.py counts the relay's.
        def posted(design):
            return a_turn(design, USE).frames - 2  # the message, and its acknowledgement

        assert posted(DESIGN) == 76
        assert posted(replace(DESIGN, pace_seconds=0)) == 502


class TestTheSums:
    def test_everything_grows_with_the_connections(self):
        one, million = load(1, DESIGN, USE), load(1e6, DESIGN, USE)
        assert astuple(million.work) == pytest.approx([each * 1e6 for each in astuple(one.work)])

    def test_a_load_is_its_events_times_their_work(self):
        hour = load(10_000, DESIGN, replace(USE, turn_every=10_000, ping_every=5_000, reconnect_every=2_500))
        assert hour.work == a_turn(DESIGN, USE) * 1 + A_PING * 2 + A_CONNECTION * 4

    @pytest.mark.parametrize(
        ("change", "write_units"),
        [({}, 22), ({"reply_bytes": 100}, 18), ({"reply_bytes": 7_000}, 32), ({"tokens_per_second": 500}, 21)],
    )
    def test_a_longer_reply_takes_more_units(self, change, write_units):
        assert a_turn(DESIGN, replace(USE, **change)).write_units == write_units

    def test_a_short_reply_has_no_more_frames_than_tokens(self):
        assert a_turn(DESIGN, replace(USE, reply_tokens=3)).frames == 3 + 3 + 1

    def test_a_broadcast_reaches_a_million_in_twenty_minutes_and_leaves_the_quota_to_chats(self):
        seconds = broadcast_seconds(1_000_000, DESIGN)
        assert seconds <= 20 * 60
        assert a_broadcast(1_000_000, DESIGN).requests / seconds <= 1_000

    def test_at_the_number_of_connections_that_breaks_a_quota_it_is_just_used_up(self):
        for quota in quotas(DESIGN):
            at = breaks_at(quota, DESIGN, USE)
            assert quota.of(load(at, DESIGN, USE)) == pytest.approx(quota.default), quota.name

    def test_each_quota_says_what_then_and_where_it_is_from(self):
        for quota in quotas(DESIGN):
            assert quota.then
            assert quota.source

    @pytest.mark.parametrize(
        ("amount", "price"), [(0, 0), (50, 50), (100, 100), (150, 100 + 25), (300, 100 + 50 + 100 * 0.1)]
    )
    def test_each_tier_has_its_price(self, amount, price):
        assert tiered(amount, ((100, 1.0), (200, 0.5), (inf, 0.1))) == pytest.approx(price)

    def test_a_slower_pace_and_a_smaller_worker_cost_less(self):
        def cost(design):
            return sum(monthly(load(10_000, design, USE), VIRGINIA).values())

        assert cost(replace(DESIGN, pace_seconds=0.1)) < cost(DESIGN)
        assert cost(DESIGN) < cost(replace(DESIGN, worker_memory_mb=1024))

    @pytest.mark.parametrize(
        ("value", "shown"),
        [(0.3434, "0.343"), (51.44, "51.4"), (194_058, "194,058"), (1_940_580, "1.94 million"), (4e8, "400 million")],
    )
    def test_a_number_has_the_digits_that_it_deserves(self, value, shown):
        assert number(value) == shown


class TestTheCommand:
    def run(self, *arguments):
        command = [sys.executable, "-m", "infra.capacity", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=HANGS)

    def test_it_prints_the_tables_for_a_number_of_connections(self):
        printed = self.run("--connections", "500").stdout
        assert "500 connections" in printed
        assert "1,000,000 connections" not in printed

    @pytest.mark.parametrize(
        "wrong", [("--connections", "0"), ("--connections", "many"), ("--pace-ms", "-1"), ("--region", "moon-1")]
    )
    def test_it_refuses_what_it_cannot_count(self, wrong):
        finished = self.run(*wrong)
        assert finished.returncode == 2
        assert wrong[0] in finished.stderr
        assert "Traceback" not in finished.stderr
