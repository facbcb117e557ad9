"""Messages of SQS, kept: what the queues of moto hold is written to the journal before a request is answered."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Collection, Mapping
from typing import Any

from parley.account import ACCOUNT_ID, REGION
from parley.emulator.state.journal import Journal, Statement

_MODELS = "moto.sqs.models"
_BYTES = "__bytes__"

Version = tuple[Any, ...]
"""A value that is another one after each change of a message."""


class KeptQueues:
    """The messages of all queues, and the queues that were made by a request and not by the template.

    Only for the thread in which moto's queues are used.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._templates: set[str] = set()
        self._is_begun = False
        self._made: dict[str, str] = {}
        self._kept: dict[tuple[str, str], Version] = {}

    def holds_messages(self) -> bool:
        """Tell if messages are kept."""
        return bool(list(self._journal.read("SELECT 1 FROM messages LIMIT 1")))

    def restore(self, names: Collection[str]) -> None:
        """Fill these queues, which the template has just made, with the messages that were kept.

        The first time, make and fill those that requests have made too.
        """
        made = [] if self._is_begun else self._journal.read("SELECT name, attributes FROM queues")
        self._is_begun = True
        if not made and _MODELS not in sys.modules:
            return  # neither the template nor a request has made a queue, and moto's import takes long
        from moto.sqs.models import Queue

        queues = _queues()
        self._templates |= set(names)
        for name, attributes in sorted(made, key=_has_dead_letters):
            if name not in queues:
                queues[name] = Queue(name, REGION, ACCOUNT_ID, **json.loads(attributes))  # type: ignore[abstract]
                self._made[name] = attributes
        self._fill({name: queues[name] for name in {*names, *dict(made)} if name in queues})

    def _fill(self, queues: Mapping[str, Any]) -> None:
        """Put the messages of queues into them. Those of others wait: the template may have them again."""
        from moto.sqs.models import Message

        for name, content in self._journal.read("SELECT queue, content FROM messages ORDER BY number"):
            if name not in queues:
                continue
            fields = json.loads(content, object_hook=_decoded)
            if (name, fields["id"]) in self._kept:
                continue  # it is there already
            message = Message(fields["id"], fields["body"])
            vars(message).update(fields)
            queues[name]._messages.append(message)
            if message.receipt_handle and not message.visible:
                queues[name].pending_messages.add(message)
            self._kept[name, message.id] = _version(message)

    def keep(self) -> None:
        """Write what a request has changed. Raises `NotKept`."""
        queues = _queues()
        made = {name: _attributes(queue) for name, queue in queues.items() if name not in self._templates}
        messages = {(name, each.id): each for name, queue in queues.items() for each in queue._messages}
        versions = {key: _version(each) for key, each in messages.items()}
        gone = [key for key in self._kept if key not in versions]
        changed = [key for key, version in versions.items() if self._kept.get(key) != version]
        if gone or changed or made != self._made:
            self._journal.write(
                *_of_queues(self._made, made),
                *(("DELETE FROM messages WHERE queue = ? AND id = ?", key) for key in gone),
                *(self._of_message(key, messages[key]) for key in changed),
            )
            self._kept, self._made = versions, made

    def _of_message(self, key: tuple[str, str], message: Any) -> Statement:
        content = json.dumps(vars(message), default=_encoded)
        if key in self._kept:
            return "UPDATE messages SET content = ? WHERE queue = ? AND id = ?", (content, *key)
        return "INSERT INTO messages (content, queue, id) VALUES (?, ?, ?)", (content, *key)


def _has_dead_letters(made: tuple[str, str]) -> bool:
    """Return whether a queue names another one, which must be there before it."""
    return "RedrivePolicy" in made[1]


def _of_queues(before: dict[str, str], after: dict[str, str]) -> list[Statement]:
    """Return the statements for queues that were made, changed or deleted."""
    gone: list[Statement] = [("DELETE FROM queues WHERE name = ?", (name,)) for name in before.keys() - after.keys()]
    put: list[Statement] = [
        ("INSERT OR REPLACE INTO queues (name, attributes) VALUES (?, ?)", item)
        for item in sorted(after.items() - before.items())
    ]
    return gone + put


def _queues() -> dict[str, Any]:
    from moto.sqs.models import sqs_backends

    queues: dict[str, Any] = sqs_backends[ACCOUNT_ID][REGION].queues
    return queues


def _version(message: Any) -> Version:
    return message.receipt_handle, message.visible_at, message.approximate_receive_count


_OF_MOTO = (
    *("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed", "ApproximateNumberOfMessagesNotVisible"),
    *("CreatedTimestamp", "LastModifiedTimestamp", "QueueArn"),
)
"""The attributes that moto computes, and takes from nobody."""


def _attributes(queue: Any) -> str:
    found = {name: value for name, value in queue.attributes.items() if name not in _OF_MOTO and value is not None}
    return json.dumps(found, sort_keys=True, default=str)


def _encoded(value: object) -> dict[str, str]:
    """Return bytes, as attributes of messages have them, in JSON."""
    if not isinstance(value, bytes):
        raise TypeError(f"{type(value).__name__} cannot be kept")
    return {_BYTES: base64.b64encode(value).decode()}


def _decoded(content: dict[str, Any]) -> Any:
    return base64.b64decode(content[_BYTES]) if content.keys() == {_BYTES} else content
