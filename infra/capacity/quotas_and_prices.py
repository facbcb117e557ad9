"""AWS quotas that a growing deployment meets, and prices. Each has its source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

from infra.capacity.model import Design, Load, Use, load

SECONDS_A_MONTH = 730 * 3600
MINUTES_A_MONTH = 730 * 60


@dataclass(frozen=True, slots=True)
class Quota:
    """A limit, and what of a load counts against it."""

    name: str
    default: float
    of: Callable[[Load], float]
    then: str
    source: str


GATEWAY = "https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html"
SOCKETS = "https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html"
LAMBDA = "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"
DYNAMODB = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html"
WARM = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html"


def quotas(design: Design) -> list[Quota]:
    """Return the limits that a growing deployment meets."""
    return [
        Quota(
            "Lambda environments at once, in a new account",
            10,
            lambda load: load.environments,
            "Ask AWS for 1,000; it also rises with use. Until then, reserve no concurrency.",
            LAMBDA,
        ),
        Quota(
            "workers at once, `WorkerConcurrency` of the preset `prod`",
            design.prod_workers,
            lambda load: load.work.worker_seconds,
            "Raise the parameter, up to the account's concurrency less 100.",
            "infra/samconfig.toml",
        ),
        Quota(
            "API Gateway requests a second, posts included",
            10_000,
            lambda load: load.work.requests,
            "Raise `RelayPaceMs`. Ask AWS for more. Then split users over accounts or Regions.",
            GATEWAY,
        ),
        Quota(
            "events a second on `$default`, our `SocketThrottleRate`",
            design.socket_throttle_rate,
            lambda load: load.socket_events,
            "Raise the parameter.",
            "infra/template.yaml",
        ),
        Quota(
            "Lambda environments at once",
            1_000,
            lambda load: load.environments,
            "Ask AWS for more; tens of thousands are possible.",
            LAMBDA,
        ),
        Quota(
            "write units a second of a young messages table",
            4_000,
            lambda load: load.work.message_units,
            "Nothing, if you grow slowly: a table takes twice the load that it has had. Else warm it up before.",
            WARM,
        ),
        Quota(
            "read units a second of a young chats table",
            12_000,
            lambda load: load.work.poll_units,
            "The same.",
            WARM,
        ),
        Quota(
            "read units a second of the chats table",
            40_000,
            lambda load: load.work.poll_units,
            "Ask AWS for more, or poll less often (`POLL_SECONDS`); a cancellation then takes longer.",
            DYNAMODB,
        ),
        Quota(
            "write units a second of the messages table",
            40_000,
            lambda load: load.work.message_units,
            "Ask AWS for more.",
            DYNAMODB,
        ),
        Quota(
            "new connections a second",
            500,
            lambda load: load.new_connections,
            "Ask AWS for more. Clients must wait longer after each failure, each a random time.",
            SOCKETS,
        ),
    ]


def breaks_at(quota: Quota, design: Design, use: Use) -> float:
    """Return the number of connections that uses a quota up."""
    # All that counts grows in proportion to the connections.
    return quota.default / quota.of(load(1, design, use))


Tiers = Sequence[tuple[float, float]]
"""Amounts up to which a price holds, and the price: `((1e9, 1.00), (inf, 0.80))`."""


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars, without free tiers."""

    region: str
    day: str
    frames_million: Tiers
    minutes_million: float
    gb_second: Tiers
    invocations_million: float
    write_units_million: float
    read_units_million: float
    logs_gb: Tiers
    sent_gb: Tiers
    sqs_million: float
    stored_gb: float
    """Storage and point-in-time recovery, for a GB and a month."""
    prompt_tokens_million: float
    completion_tokens_million: float


PRICES = {
    "us-east-1": Prices(
        region="us-east-1",
        day="26 November 2026",
        frames_million=((1e9, 1.00), (inf, 0.80)),
        minutes_million=0.25,
        gb_second=((7.5e9, 0.0000133334), (18.75e9, 0.0000120001), (inf, 0.0000106667)),
        invocations_million=0.20,
        write_units_million=0.625,
        read_units_million=0.125,
        logs_gb=((10_000, 0.50), (30_000, 0.25), (50_000, 0.10), (inf, 0.05)),
        sent_gb=((10_000, 0.09), (50_000, 0.085), (150_000, 0.07), (inf, 0.05)),
        sqs_million=0.40,
        stored_gb=0.25 + 0.20,
        prompt_tokens_million=2.50,
        completion_tokens_million=10.00,
    )
}
"""Prices by Region, Lambda on Arm, the model gpt-4o. Add your Region: the price pages of AWS differ by up to a half."""

PRICE_PAGES = (
    "https://aws.amazon.com/api-gateway/pricing/",
    "https://aws.amazon.com/lambda/pricing/",
    "https://aws.amazon.com/dynamodb/pricing/on-demand/",
    "https://aws.amazon.com/cloudwatch/pricing/",
    "https://aws.amazon.com/sqs/pricing/",
)


def tiered(amount: float, tiers: Tiers) -> float:
    """Return the price of an amount of which each part has its own price."""
    dollars = begun = 0.0
    for until, price in tiers:
        dollars += max(0.0, min(amount, until) - begun) * price
        begun = until
    return dollars


def monthly(load: Load, prices: Prices) -> dict[str, float]:
    """Return the dollars of a month by what they are for, the model and the growing storage left out."""
    month = load.work * SECONDS_A_MONTH
    million, gb = 1e6, 1e9
    return {
        "frames": tiered(month.frames, prices.frames_million) / million,
        "connection minutes": load.connections * MINUTES_A_MONTH * prices.minutes_million / million,
        "Lambda": tiered(month.gb_seconds, prices.gb_second) + month.invocations * prices.invocations_million / million,
        "DynamoDB": (month.write_units * prices.write_units_million + month.read_units * prices.read_units_million)
        / million,
        "logs": tiered(month.log_bytes / gb, prices.logs_gb),
        "data sent": tiered(month.sent_bytes / gb, prices.sent_gb),
        "SQS": month.sqs_requests * prices.sqs_million / million,
    }


def model_monthly(load: Load, use: Use, prices: Prices) -> float:
    """Return the dollars of a month for the model itself."""
    turn = use.prompt_tokens * prices.prompt_tokens_million + use.reply_tokens * prices.completion_tokens_million
    return load.turns * SECONDS_A_MONTH * turn / 1e6


def storage_monthly(load: Load, prices: Prices) -> float:
    """Return the dollars that the messages of one month cost in each later month."""
    return load.work.stored_bytes * SECONDS_A_MONTH / 1e9 * prices.stored_gb
