"""Where a template's APIs are found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from parley.template.model import HttpApi, Stage, WebSocketApi

WEBSOCKET_PATH = "/ws/chat"
"""Another path of the first API's first stage."""


def mounted(apis: Sequence[WebSocketApi]) -> dict[str, tuple[WebSocketApi, Stage]]:
    """Return each path with what it leads to: `/{stage}`, and with several APIs `/{api}/{stage}` by logical id.

    A stage's name that several APIs have leads to none of them.
    """
    stages = [(api, stage) for api in apis for stage in api.stages]
    times = Counter(stage.name for _, stage in stages)
    paths = {path_of(apis, api, stage): (api, stage) for api, stage in stages}
    paths |= {f"/{stage.name}": (api, stage) for api, stage in stages if times[stage.name] == 1}
    return paths | ({WEBSOCKET_PATH: stages[0]} if stages else {})


def path_of(apis: Sequence[WebSocketApi], api: WebSocketApi, stage: Stage) -> str:
    """Return the path of a stage that is its own, whatever other APIs there are."""
    return f"/{api.logical_id}/{stage.name}" if len(apis) > 1 else f"/{stage.name}"


def mounted_http(apis: Sequence[HttpApi]) -> dict[str, HttpApi]:
    """Return where HTTP APIs are found: the first at the root, the others below their logical ids."""
    return {"" if index == 0 else f"/{api.logical_id}": api for index, api in enumerate(apis)}
