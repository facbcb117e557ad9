"""Shared parts of all stages of all APIs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    """API Gateway in one account and region: what all its stages share.

    `caller` returns the caller that has signed a handshake, as events name it; None if the handshake is not signed as
    `AWS_IAM` requires.
    """

    integrations: IntegrationCaller
    management_api: ManagementApi
    account: AccountRateLimiter
    trace: Trace
    clock: Clock
    caller: Callable[[Handshake], Mapping[str, str] | None]
    limits: TimeLimits = field(default_factory=TimeLimits)
    assumptions: Assumptions = field(default_factory=Assumptions)
