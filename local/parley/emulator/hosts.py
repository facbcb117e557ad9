"""Hosts of APIs and function URLs on AWS: a request for one gets the path at which the emulator serves it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from parley.asgi import Scope
from parley.functions.processes import names
from parley.template.model import Template, WebSocketApi

_API_HOST = re.compile(rb"([a-z0-9]+)\.(?:execute-api|lambda-url)\.", re.IGNORECASE)


def prefixes(template: Template) -> dict[str, str]:
    """Return what the emulator puts before the paths of an API on AWS, by the id of the API."""
    sockets, https = template.websocket_apis, template.http_apis
    several = {api.api_id: f"/{api.logical_id}" if len(sockets) > 1 else "" for api in sockets}
    return several | {api.api_id: f"/{api.logical_id}" if index else "" for index, api in enumerate(https)}


def with_own_path(scope: Scope, prefixes: Mapping[str, str]) -> Scope:
    """Return the scope of a request with the path at which the emulator serves the API that its host names.

    The path as sent (`raw_path`) stays: a signature is for that one.
    """
    host = next((value for name, value in scope["headers"] if name.lower() == b"host"), b"")
    match = _API_HOST.match(host)
    prefix = prefixes.get(match[1].decode().lower(), "") if match else ""
    return {**scope, "path": f"{prefix}{scope['path']}"} if prefix else scope


def custom_domains(apis: Iterable[WebSocketApi], prefixes: Mapping[str, str]) -> dict[str, str]:
    """Return the path at which the emulator serves a stage, by each custom domain name that leads to the stage."""
    return {
        domain: f"{prefixes[api.api_id]}/{stage.name}"
        for api in apis
        for stage in api.stages
        for domain in stage.domains
    }


@dataclass(frozen=True, slots=True)
class Hosts:
    """Hosts of the template's APIs on AWS, for the functions: the emulator at `url` stands for them.

    `paths` are what the emulator puts before the paths of an API, by the id of the API. `domains` are the paths of
    stages by their custom domain names.
    """

    url: str
    paths: Mapping[str, str]
    domains: Mapping[str, str] = field(default_factory=dict)

    def variables(self) -> dict[str, str]:
        """Return what makes a function's process find the template's own APIs here by their names on AWS."""
        here = urlsplit(self.url)
        if not self.paths or here.hostname is None or here.port is None:
            return {}
        return {names.VARIABLE: names.description(self.paths, here.hostname, here.port)}

    def localised(self, value: str) -> str:
        """Return a variable's value with an API's place on this machine instead of the API's host on AWS."""
        here = self.url.partition("://")[2]
        for api, path in self.paths.items():
            value = re.sub(rf"{re.escape(api)}{names.DOMAIN}", here + path, value)
        for domain in sorted(self.domains, key=len, reverse=True):
            url = rf"(?:^|(?<=://)){re.escape(domain)}(?![\w-]|[.:][\w-])"
            value = re.sub(url, here + self.domains[domain], value, flags=re.IGNORECASE)
        return value
