"""The cost of a turn: what it has used, by the price table, and what the dollars cover."""

import pytest

from handlers.chat.cost import GB_SECOND_PRICES, Prices, Units, Use, gb_seconds
from handlers.chat.protocol.frames import CostPart
from handlers.chat.records import Usage
from handlers.chat.settings import Settings

USE = Use(frames=112, units=Units(32.0, 21.0), invocations=2, gb_seconds=6.2)
USAGE = Usage(prompt_tokens=1_000, completion_tokens=500)
EVERYTHING = (CostPart.FRAMES, CostPart.UNITS, CostPart.FUNCTIONS, CostPart.TOKENS)


def test_a_turn_costs_frames_units_functions_and_tokens():
    cost = Prices.of("", "gpt-4o", "aarch64").cost(USE, USAGE, asked=True)
    millionths = 112 * 1.0 + (32 * 0.125 + 21 * 0.625) + (2 * 0.2 + 6.2 * 13.3334) + (1_000 * 2.5 + 500 * 10)
    assert cost.usd == pytest.approx(millionths / 1_000_000, abs=1e-9)
    assert cost.covers == EVERYTHING
    assert (cost.frames, cost.read_units, cost.write_units, cost.invocations, cost.gb_seconds) == (112, 32, 21, 2, 6.2)


def test_without_lambda_it_would_be_forty_percent_less_than_aws_bills():
    """The turn that was measured: 500 tokens in six seconds, a worker of 1 GB."""
    billed = Prices.of("", "unknown", "aarch64").cost(USE, None, asked=True)
    shown_before = (112 * 1.0 + 32 * 0.125 + 21 * 0.625) / 1_000_000
    assert shown_before / billed.usd == pytest.approx(0.6, abs=0.02)


@pytest.mark.parametrize(
    ("prices", "use", "usage", "asked", "left_out"),
    [
        (Prices.of("", "my-model", "aarch64"), USE, USAGE, True, {CostPart.TOKENS}),
        (Prices.of('{"prompt_tokens": 1}', "my-model", "aarch64"), USE, USAGE, True, {CostPart.TOKENS}),
        (Prices.of('{"prompt_tokens": 1, "completion_tokens": 0}', "my-model", "aarch64"), USE, USAGE, True, set()),
        (Prices.of("", "gpt-4o", "aarch64"), USE, None, True, {CostPart.TOKENS}),
        (Prices.of("", "my-model", "aarch64"), USE, None, False, set()),
        (Prices.of("", "gpt-4o", "riscv64"), USE, USAGE, True, {CostPart.FUNCTIONS}),
        (Prices.of('{"gb_seconds": 15}', "gpt-4o", "riscv64"), USE, USAGE, True, set()),
        (Prices.of("", "gpt-4o", "aarch64"), USE + Use(), USAGE, True, {CostPart.FUNCTIONS}),
    ],
    ids=[
        *("a model of no known price", "half a price", "a price that the operator sets", "no count of tokens"),
        *("a model that was not asked", "a processor of no known price", "its price set", "a memory that is unknown"),
    ],
)
def test_what_is_unknown_is_left_out_and_named(prices, use, usage, asked, left_out):
    cost = prices.cost(use, usage, asked=asked)
    assert set(EVERYTHING) - set(cost.covers) == left_out
    assert cost.usd > 0


def test_an_unknown_time_is_absent_and_not_zero():
    shown = Prices().cost(Use(1, Units(), 2, None), None, asked=False).as_data()
    assert "gbSeconds" not in shown
    assert shown["covers"] == ["frames", "units", "tokens"]


@pytest.mark.parametrize("machine", GB_SECOND_PRICES)
def test_the_price_of_time_depends_on_the_processor(machine):
    arm = machine in ("aarch64", "arm64")
    assert Prices.of("", "gpt-4o", machine).gb_seconds == (13.3334 if arm else 16.6667)


def test_uses_add_up_and_what_is_unknown_stays_unknown():
    assert Use(224, Units(64.0, 42.0), 4, 12.4) == USE + USE
    assert (USE + Use(1)).gb_seconds is None
    assert (gb_seconds(0.5, 6.0), gb_seconds(None, 6.0)) == (3.0, None)


@pytest.mark.parametrize(
    ("told", "memory"), [("1024", 1.0), ("512", 0.5), ("1769", 1769 / 1024), ("", None), ("x", None)]
)
def test_lambda_tells_the_memory_of_a_function(told, memory):
    assert Settings.of({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": told}).memory == memory
