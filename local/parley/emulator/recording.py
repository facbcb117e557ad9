"""The record: payloads of events, answers and posts, kept in memory for who looks into them.

It is off by default, and it is bounded. What is secret is redacted before it is kept, so it is nowhere in the record.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

from parley.emulator.redaction import Redaction, is_secret_name
from parley.template.generated_secrets import fields_of
from parley.template.model import Template
from parley.trace import Trace, TraceEvent

EVENT, ANSWER, DATA = "event", "answer", "data"
"""The names of payloads: what a function gets, what it returns, and what is posted to a connection."""

MAX_PAYLOADS = 5_000
MAX_BYTES = 64 << 20
MAX_PAYLOAD_BYTES = 1 << 20
"""The size of the largest payload that is kept whole. Of a larger one only the size is."""

MAX_BRIEF = 200
"""The most characters of the beginning of a payload."""


@dataclass(frozen=True, slots=True)
class Payload:
    """A recorded payload. `name` is `event`, `answer` or `data`; `redacted` are paths. With `cut` it is not whole."""

    name: str
    text: str
    redacted: tuple[str, ...] = ()
    cut: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the payload as the JSON API has it."""
        more = {"redacted": list(self.redacted)} if self.redacted else {}
        return {self.name: self.value(), **more, **({"cut": True} if self.cut else {})}

    def value(self) -> Any:
        """Return JSON as what it stands for, and anything else as text."""
        try:
            return self.text if self.cut else json.loads(self.text)
        except (ValueError, RecursionError):
            return self.text

    def brief(self) -> str:
        """Return the beginning of the payload. Of an event that has a body, the beginning of the body."""
        value = self.value() if self.name == EVENT else None
        body = value.get("body") if isinstance(value, dict) else None
        return (body if isinstance(body, str) else self.text)[:MAX_BRIEF]


class Record:
    """The newest payloads, by the number of their trace event. Safe from any thread.

    They are kept in the order in which they came, at most `most` and `most_bytes` characters of them.
    """

    def __init__(self, redaction: Redaction, most: int = MAX_PAYLOADS, most_bytes: int = MAX_BYTES) -> None:
        self._redaction = redaction
        self._most, self._most_bytes = most, most_bytes
        self._payloads: OrderedDict[int, Payload] = OrderedDict()
        self._bytes = 0
        self._dropped = 0
        self._lock = Lock()

    def redact(self, secrets: Iterable[str]) -> None:
        """Redact these secrets too, from now on."""
        self._redaction = self._redaction.also(secrets)

    def keep(self, event: TraceEvent, content: Mapping[str, bytes]) -> None:
        """Keep the payload of an event, redacted. The oldest ones make room for it."""
        for name, payload in content.items():
            self._put(event.number, self._payload(name, payload))

    def _payload(self, name: str, content: bytes) -> Payload:
        if len(content) <= MAX_PAYLOAD_BYTES:
            text, redacted = self._redaction.payload(content, streams=name == DATA)
            return Payload(name, text, tuple(dict.fromkeys(redacted)))
        # A part of JSON is no JSON, so names in it would say nothing: only its size is kept.
        return Payload(name, f"{len(content)} bytes, more than the {MAX_PAYLOAD_BYTES} that are recorded", cut=True)

    def _put(self, number: int, payload: Payload) -> None:
        with self._lock:
            self._payloads[number] = payload
            self._bytes += len(payload.text)
            while len(self._payloads) > self._most or (self._bytes > self._most_bytes and len(self._payloads) > 1):
                _, oldest = self._payloads.popitem(last=False)
                self._bytes -= len(oldest.text)
                self._dropped += 1

    def of(self, number: int) -> Payload | None:
        """Return the payload of a trace event; None if it has none, or if it is not kept any more."""
        return self._payloads.get(number)

    def forget(self) -> None:
        """Forget every payload."""
        with self._lock:
            self._payloads.clear()
            self._bytes = self._dropped = 0

    def summary(self) -> dict[str, Any]:
        """Return how much is kept, and the bounds."""
        with self._lock:
            return {
                "recording": True,
                "payloads": len(self._payloads),
                "bytes": self._bytes,
                "dropped": self._dropped,
                "maxPayloads": self._most,
                "maxBytes": self._most_bytes,
            }


def record_payloads(trace: Trace, template: Template) -> Record:
    """Record the payloads of the trace's events, without the secrets that the template's functions have."""
    record = Record(Redaction(secrets_of(template)))
    trace.keep = record.keep
    return record


def secrets_of(template: Template) -> list[str]:
    """Return the secrets that a template's functions have or can read."""
    variables = [each for function in template.functions.values() for each in function.environment.items()]
    secret = [value for name, value in variables if is_secret_name(name)]
    parameters = [
        each.value for each in template.parameters if each.type == "SecureString" or is_secret_name(each.name)
    ]
    return [*secret, *parameters, *(text for each in template.secrets for text in _texts_of(each.value))]


def _texts_of(secret: str) -> list[str]:
    """Return a secret and, if it is a JSON object, the texts in it: functions use these."""
    fields = fields_of(secret) or {}
    return [each for each in (secret, *fields.values()) if isinstance(each, str) and each]
