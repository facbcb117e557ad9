"""Differences of two readings of a template: whether the newer one can be served, and what it changes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from parley.template.model import Function, Table, Template, WebSocketApi

_KEYS = ("KeySchema", "LocalSecondaryIndexes")
"""What a table has for ever: CreateTable sets it, and UpdateTable cannot."""


def refusal(before: Template, after: Template) -> str:
    """Return why the emulator cannot go on with the newer template; empty if it can."""
    tables = {table.name: table for table in before.tables}
    for table in after.tables:
        if table.name in tables and _keys(table) != _keys(tables[table.name]):
            return (
                f"The keys of the table {table.name} are others now, and a table cannot change its keys. "
                "`parley state reset` empties the tables; so does a new start, if nothing is kept."
            )
    return ""


def _keys(table: Table) -> list[Any]:
    """Return the keys of a table, with their types."""
    schema = table.definition.get("KeySchema", [])
    indexes = table.definition.get("LocalSecondaryIndexes", [])
    names = {
        key["AttributeName"] for each in (schema, *(index.get("KeySchema", []) for index in indexes)) for key in each
    }
    types = [
        (each["AttributeName"], each["AttributeType"])
        for each in table.definition.get("AttributeDefinitions", [])
        if each["AttributeName"] in names
    ]
    return [schema, indexes, sorted(types)]


def kept(
    before: Mapping[str, Function], after: Mapping[str, Function], changed: Collection[Path]
) -> dict[str, Function]:
    """Return the newer functions; those that are as before are the same objects.

    `changed` are files. Layers are put together anew at each reading, in another folder. So they are as before if they
    come from the same folders, and nothing in these has changed.
    """
    found = {}
    for name, function in after.items():
        old = before.get(name)
        same = old is not None and old.sources == function.sources and not is_in(function.sources[1:], changed)
        found[name] = old if old and same and replace(function, layers=old.layers) == old else function
    return found


def is_in(sources: Iterable[Path], changed: Collection[Path]) -> bool:
    """Tell if one of the changed files is one of these, or lies in one of these folders."""
    return any(source == path or source in path.parents for source in sources for path in changed)


def changed_functions(before: Mapping[str, Function], after: Mapping[str, Function]) -> set[str]:
    """Return the names of the functions that differ, are new or are gone."""
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def summary(before: Template, after: Template) -> list[str]:
    """Return what has changed, in a few words each: `-` stands before what is gone, `+` before what is new."""
    return [
        *_compared(before.functions, after.functions),
        *_compared(_apis(before.websocket_apis), _apis(after.websocket_apis)),
        *_compared(_apis(before.http_apis), _apis(after.http_apis)),
        *(name for kind in ("tables", "queues", "topics", "buckets") for name in _named(kind, before, after)),
        *_compared({each.name: each for each in before.parameters}, {each.name: each for each in after.parameters}),
        *_compared({each.name: each for each in before.secrets}, {each.name: each for each in after.secrets}),
        *(["event sources"] if _sources(before) != _sources(after) else []),
        *(["roles"] if before.roles != after.roles else []),
    ]


def _sources(template: Template) -> tuple[object, ...]:
    return template.event_sources, template.streams, template.rules, template.buses


def _named(kind: str, before: Template, after: Template) -> Iterator[str]:
    """Yield the differences of what is created once. What is gone from the template stays here, with its data."""
    then, now = ({each.name: each for each in getattr(template, kind)} for template in (before, after))
    for name in now.keys() - then.keys():
        yield f"+{name}"
    for name in then.keys() - now.keys():
        yield f"-{name} (kept until the next start)"
    for name in now.keys() & then.keys():
        if now[name] != then[name]:
            yield f"{name} (from the next start on)"


def _apis(apis: Iterable[Any]) -> dict[str, Any]:
    found = {}
    for api in apis:
        found[api.logical_id] = replace(api, stages=()) if isinstance(api, WebSocketApi) else api
        if isinstance(api, WebSocketApi):
            found |= {f"{api.logical_id}/{stage.name}": stage for stage in api.stages}
    return found


def _compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    changed = [name for name in after if before.get(name, after[name]) != after[name]]
    return [f"-{name}" for name in before if name not in after] + [
        name if name in changed else f"+{name}" for name in after if name in changed or name not in before
    ]
