"""Events beside requests: queues, topics, rules and schedules that invoke the functions of a template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from parley.template import storage
from parley.template.buckets import buckets
from parley.template.document import Document
from parley.template.event_sources import event_sources, stream_sources
from parley.template.model import Template
from parley.template.rules import buses, rules


def with_events(template: Template, document: Document, functions: Mapping[str, object]) -> Template:
    """Return a template with what invokes its functions beside requests."""
    return replace(
        template,
        event_sources=tuple(event_sources(document, functions)),
        topics=tuple(storage.topics(document)),
        subscriptions=tuple(storage.subscriptions(document, functions)),
        rules=tuple(rules(document, functions)),
        buses=buses(document),
        buckets=tuple(buckets(document, functions)),
        streams=tuple(stream_sources(document, functions)),
    )
