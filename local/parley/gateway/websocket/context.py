"""Shared parts of all stages of all APIs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from parley.clock import Clock
from parley.gateway.assumptions import Assumptions
from parley.gateway.events import Handshake
from parley.gateway.integrations.caller import IntegrationCaller
from parley.gateway.quotas import AccountRateLimiter, TimeLimits
from parley.gateway.websocket.management_api import ManagementApi
from parley.trace import Trace


class OpenConnections(Protocol):
    """Keeps which connections are open, for the `$disconnect` of those that end with the emulator."""

    def opened(self, handshake: Handshake) -> None:
        """Keep a connection."""

    def ended(self, connection_id: str) -> None:
        """Forget a connection, after its `$disconnect`."""


@dataclass(frozen=True, slots=True)
class GatewayContext:
    """API Gateway in one account and region: what all its stages share.

    `caller` returns the caller that has signed a handshake, as events name it; None if the handshake is not signed as
    `AWS_IAM` requires. `kept` keeps which connections are open, if anything is kept.
    """

    integrations: IntegrationCaller
    management_api: ManagementApi
    account: AccountRateLimiter
    trace: Trace
    clock: Clock
    caller: Callable[[Handshake], Mapping[str, str] | None]
    limits: TimeLimits = field(default_factory=TimeLimits)
    assumptions: Assumptions = field(default_factory=Assumptions)
    kept: OpenConnections | None = None
