"""What all stages of all APIs have in common: the account that they are in, and how they reach functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from parley.clock import Clock
from parley.gateway.assumptions import Assumptions
from parley.gateway.events import Handshake
from parley.gateway.integrations.caller import IntegrationCaller
from parley.gateway.quotas import AccountRateLimiter, TimeLimits
from parley.gateway.websocket.management_api import ManagementApi
from parley.trace import Trace


@dataclass(frozen=True, slots=True)
class GatewayContext:
    """API Gateway in one account and region.

    `is_signed` tells whether a handshake is signed as `AWS_IAM` wants it. With `reordering` each message is held up
    by some milliseconds of chance, so that the messages of a connection overtake each other.
    """

    integrations: IntegrationCaller
    management_api: ManagementApi
    account: AccountRateLimiter
    trace: Trace
    clock: Clock
    is_signed: Callable[[Handshake], bool]
    limits: TimeLimits = field(default_factory=TimeLimits)
    assumptions: Assumptions = field(default_factory=Assumptions)
