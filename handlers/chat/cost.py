"""What a turn costs, estimated from a price table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

from handlers.chat.capacity import Units
from handlers.chat.errors import Misconfigured
from handlers.chat.protocol.frames import Cost, Usage

MILLION = 1_000_000

TOKEN_PRICES = {"gpt-4o": (2.50, 10.00), "gpt-4o-mini": (0.15, 0.60)}
"""US dollars for a million prompt and completion tokens, by model; OpenAI's list, November 2026."""


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars for a million of each; us-east-1 on demand, November 2026. `TURN_PRICES` overrides any of them.

    `frames` are API Gateway's messages of up to 32 KB, `read_units` and `write_units` DynamoDB's request units. A
    model's tokens cost nothing here until their price is known.
    """

    frames: float = 1.00
    read_units: float = 0.125
    write_units: float = 0.625
    prompt_tokens: float = 0.0
    completion_tokens: float = 0.0

    @classmethod
    def of(cls, overrides: str, model: str) -> Self:
        """Return the prices for a model, with those that a JSON object overrides, `{"write_units": 0.7, …}`.

        Raises `Misconfigured` for anything else.
        """
        names = [field.name for field in fields(cls)]
        prompt, completion = TOKEN_PRICES.get(model, (0.0, 0.0))
        try:
            given: Mapping[str, float] = json.loads(overrides or "{}")
            prices = {"prompt_tokens": prompt, "completion_tokens": completion} | {
                name: float(price) for name, price in given.items()
            }
            return cls(**prices)
        except (ValueError, TypeError, AttributeError):
            raise Misconfigured(
                f"TURN_PRICES cannot be used; set it to a JSON object of dollars for a million of: {', '.join(names)}"
            ) from None

    def cost(self, frames: int, units: Units, usage: Usage | None) -> Cost:
        """Return what these have cost: frames posted, units consumed, tokens used."""
        dollars = frames * self.frames + units.read * self.read_units + units.write * self.write_units
        if usage is not None:
            dollars += usage.prompt_tokens * self.prompt_tokens + usage.completion_tokens * self.completion_tokens
        return Cost(frames=frames, read_units=units.read, write_units=units.write, usd=round(dollars / MILLION, 9))
