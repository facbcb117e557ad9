"""How an emulator is to run: the options of `parley up`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from parley.gateway.assumptions import Assumptions
from parley.gateway.quotas import Quotas, TimeLimits

Mode = Literal["process", "inline"]

EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True)
class Options:
    """The options of `parley up`, with their defaults. Times are in seconds but for `post_latency`, in ms.

    `parameters` and `imports` are the template's. `reorder` is the seed by which messages overtake each other;
    with `iam` signatures are checked.
    """

    template: Path = Path("infra/template.yaml")
    host: str = "127.0.0.1"
    port: int = 8000
    stage: str | None = None
    dynamodb: str = EMBEDDED
    functions: Mode = "process"
    environments: int = 10
    users: tuple[str, ...] = ("alice", "bob")
    limits: TimeLimits = field(default_factory=TimeLimits)
    post_latency: float = 0.0
    retry_delay: float = 60.0
    tokens_per_second: float = 40.0
    faults: Path | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    imports: Mapping[str, str] = field(default_factory=dict)
    duplicates: float = 0.0
    reorder: int | None = None
    iam: bool = False
    assumptions: Assumptions = field(default_factory=Assumptions)
    quotas: Quotas = field(default_factory=Quotas)

    @property
    def url(self) -> str:
        """Return the root of everything that is served, as a client on this machine reaches it."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - compared, not bound
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
