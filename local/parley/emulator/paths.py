"""Paths of the emulator's port: those of its own services, and those of a template's APIs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # The commands that only need a path do without the template's model, whose import takes as long as all of theirs.
    from parley.template.model import HttpApi, Stage, WebSocketApi

OWN_PATH = "/_parley/"
"""The beginning of all paths that no API of AWS has."""

CONFIG_PATH = "/config.json"
"""Where the chat page finds the addresses of the APIs, as on a static site."""

ADDRESSES_PATH = "/_parley/addresses"
CONNECTIONS_REPORT_PATH = "/_parley/connections"
DYNAMODB_PATH = "/_parley/dynamodb"
FAULTS_PATH = "/_parley/faults"
MODEL_REPORT_PATH = "/_parley/model"
SERVICES_PATH = "/_parley/aws"
"""The endpoint of all other services of AWS. Each embedded service has its own endpoint below it."""

EVENTS = "events"
"""The name of EventBridge's endpoint below `SERVICES_PATH`."""

RULES_PATH = "/_parley/rules"
IAM_PATH = "/_parley/iam"
TOKEN_PATH = "/_parley/token"  # noqa: S105 - a path
TRACE_PATH = "/_parley/trace"
RECORD_PATH = "/_parley/record"
INVOCATIONS_PATH = "/_parley/invocations/"
"""The beginning of the paths of invocations in the trace."""

CONNECTIONS_PATH = "/@connections/"
"""The part of a path between the stage and the connection's id, as AWS has it."""

INVOKE_PATH = "/2015-03-31/functions/"
"""The beginning of the paths of Lambda's Invoke API, as AWS has it."""

INVOKE_SUFFIX = "/invocations"
MODEL_PATH = "/v1"
"""The beginning of the built-in model's paths, as OpenAI has it."""

WEBSOCKET_PATH = "/ws/chat"
"""A second path of the first WebSocket API's first stage."""


def mounted(apis: Sequence[WebSocketApi]) -> dict[str, tuple[WebSocketApi, Stage]]:
    """Return each path of a WebSocket API, with its API and stage.

    The path is `/{stage}`. If there are several APIs it is `/{api}/{stage}` with the logical id, and `/{stage}` too if
    only one of the APIs has a stage of this name.
    """
    stages = [(api, stage) for api in apis for stage in api.stages]
    times = Counter(stage.name for _, stage in stages)
    paths = {path_of(apis, api, stage): (api, stage) for api, stage in stages}
    paths |= {f"/{stage.name}": (api, stage) for api, stage in stages if times[stage.name] == 1}
    return paths | ({WEBSOCKET_PATH: stages[0]} if stages else {})


def stages_by_path(served: Sequence[WebSocketApi], described: Sequence[WebSocketApi]) -> dict[str, tuple[str, str]]:
    """Return the API's id and the stage's name of each path of a WebSocket API, with the names in `described`.

    The two are the same APIs; in `served` stages may have other names than in the template.
    """
    names = {
        (api.api_id, stage.name): original.name
        for api, template in zip(served, described, strict=True)
        for stage, original in zip(api.stages, template.stages, strict=True)
    }
    return {path: (api.api_id, names[api.api_id, stage.name]) for path, (api, stage) in mounted(served).items()}


def path_of(apis: Sequence[WebSocketApi], api: WebSocketApi, stage: Stage) -> str:
    """Return the path of a stage that no other stage has."""
    return f"/{api.logical_id}/{stage.name}" if len(apis) > 1 else f"/{stage.name}"


def mounted_http(apis: Sequence[HttpApi]) -> dict[str, HttpApi]:
    """Return each path of an HTTP API: the first API is at the root, each other one below its logical id."""
    return {"" if index == 0 else f"/{api.logical_id}": api for index, api in enumerate(apis)}


def http_endpoints(apis: Sequence[HttpApi]) -> list[tuple[str, str]]:
    """Return where clients find each HTTP API, REST API and function URL, and its kind. A stage is part of the path."""
    mounts = mounted_http(apis).items()
    return [(path if api.stage == "$default" else f"{path}/{api.stage}", api.kind) for path, api in mounts]
