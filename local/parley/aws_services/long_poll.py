"""SQS's long polls: requests for messages that wait until there are some.

moto waits in the one thread that answers all requests, so nobody could send the message that ends the wait.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from parley.asgi import json_object, whole_number

MAX_SECONDS = 20
"""The longest wait for messages. Source: SQS's API reference, ReceiveMessage, `WaitTimeSeconds`."""

PAUSE_SECONDS = 0.05
"""The pause between two looks at a queue."""

_RECEIVE = "ReceiveMessage"
_WAIT = "WaitTimeSeconds"


@dataclass(frozen=True, slots=True)
class LongPoll:
    """A request for messages. `seconds` is None if the queue says how long it waits; `body` is it without the wait."""

    queue: str
    seconds: int | None
    body: bytes

    @classmethod
    def of(cls, headers: Mapping[str, str], body: bytes) -> LongPoll | None:
        """Return the long poll that a request to SQS is. None for other requests, and for one that SQS refuses.

        SDKs send JSON, older ones a form.
        """
        target = next((value for name, value in headers.items() if name.lower() == "x-amz-target"), "")
        if target:
            return cls._of(json_object(body) or {}, json.dumps) if target.endswith(f".{_RECEIVE}") else None
        form = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
        return cls._of(form, urlencode) if form.get("Action") == _RECEIVE else None

    @classmethod
    def _of(cls, content: Mapping[str, Any], write: Callable[[Any], str]) -> LongPoll | None:
        url, wait = content.get("QueueUrl"), content.get(_WAIT)
        seconds = None if wait is None else whole_number(str(wait))
        if not isinstance(url, str) or (wait is not None and (seconds is None or seconds > MAX_SECONDS)):
            return None
        return cls(url.rpartition("/")[2], seconds, write({**content, _WAIT: 0}).encode())


def has_messages(answer: bytes) -> bool:
    """Tell if an answer of SQS, JSON or XML, has messages: each has a receipt."""
    return b"ReceiptHandle" in answer
