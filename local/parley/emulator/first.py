"""The functions that the first client of a template meets: they are started before it comes."""

from __future__ import annotations

from collections.abc import Iterator

from parley.gateway.websocket.handshake import CONNECT
from parley.gateway.websocket.route_selection import DEFAULT
from parley.template.model import LambdaIntegration, Route, Template

_MOST = 2
"""Each has a process of 20 to 30 MB."""


def first_needed(template: Template) -> list[str]:
    """Return the functions that the first client needs: for its handshake, then for its message or request."""
    return list(dict.fromkeys(name for name in _in_order(template) if name in template.functions))[:_MOST]


def _in_order(template: Template) -> Iterator[str]:
    for api in template.websocket_apis:
        if connect := api.routes.get(CONNECT):
            yield from _of(connect)
    for api in template.websocket_apis:
        for key in sorted(api.routes, key=lambda key: (key != DEFAULT, key.startswith("$"))):
            yield from _of(api.routes[key])
    yield from (route.function for api in template.http_apis for route in api.routes)


def _of(route: Route) -> Iterator[str]:
    if route.authorizer:
        yield route.authorizer.function
    if isinstance(route.integration, LambdaIntegration):
        yield route.integration.function
