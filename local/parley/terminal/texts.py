"""Texts of the terminal about events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parley.client.events import ChatOpened, ServerError
from parley.client.frames import ListedAssistant
from parley.client.messages import Message
from parley.terminal.actions import Line, Style

NOTHING_TO_STOP = "No reply is running."
NOTHING_TO_APPROVE = "No tool waits for your approval."
ANSWER_FIRST = "A tool waits for your approval: `/approve`, `/reject`, or `/stop` ends the reply."
MESSAGE_HELD = "A reply is running. Your message will be sent when it is complete."

DEFAULT_ASSISTANT = "default"

_FRIENDLY = {
    "busy": "A reply is already running. `/stop` stops it.",
    "nothing_to_cancel": NOTHING_TO_STOP,
    "nothing_to_approve": NOTHING_TO_APPROVE,
    "nothing_to_regenerate": "There is no reply yet to write again.",
}


def refusal(error: ServerError) -> Line:
    """Return the line about a refusal: a friendly one if nothing went wrong, else the server's words."""
    code = error.code or "error"
    if code in _FRIENDLY:
        return Line(_FRIENDLY[code])
    return Line(f"{error.text} ({code})", Style.ERROR)


def gateway_error(text: str) -> Line:
    """Return the line about an error of the gateway itself."""
    return Line(f"The gateway reports: {text}. See the server's log.", Style.ERROR)


def message(stored: Message) -> Line:
    """Return the line that shows a stored message."""
    content = "(too long to show)" if stored.text is None else stored.text
    if stored.role == "user":
        return Line(f"› {content}", Style.USER)
    return Line(content, Style.REPLY)


def assistants(listed: Sequence[ListedAssistant]) -> list[Line]:
    """Return the line about the assistants of a server, if there is a choice."""
    if len(listed) < 2:
        return []
    names = ", ".join(each.id if each.title == each.id else f"{each.id} ({each.title})" for each in listed)
    return [Line(f"Assistants: {names}. `/new ASSISTANT` starts a chat with one.")]


def opened(chat: ChatOpened, assistant: ListedAssistant | None) -> list[Line]:
    """Return the lines about a chat that is open now. `assistant` answers in it, as far as it is known."""
    own = assistant is not None and assistant.id != DEFAULT_ASSISTANT
    name = f" · {assistant.title}" if assistant and own else ""
    return [Line(f"{chat.title} · chat {chat.chat_id}{name}")]


def starters(assistant: ListedAssistant | None) -> list[Line]:
    """Return the line with the questions that an assistant suggests for a new chat."""
    suggested = assistant.starters if assistant else ()
    return [Line(f"You may ask: {' · '.join(suggested)}")] if suggested else []


_PARTS = {"frames": "frames", "units": "units", "functions": "Lambda", "tokens": "the model's tokens"}
"""The parts of a turn's cost in dollars, with their names for people."""


def cost(costs: Mapping[str, Any] | None) -> list[Line]:
    """Return the line about the cost of a reply, if the server tells it: `12 frames · 14 write units · $0.000021`.

    If the dollars leave out a part of the cost, the line says which.
    """
    if costs is None:
        return []
    amounts = {
        name: amount
        for name, amount in costs.items()
        if isinstance(amount, int | float) and not isinstance(amount, bool)
    }
    units = {"frames": "frames", "readUnits": "read units", "writeUnits": "write units", "gbSeconds": "GB-seconds"}
    parts = [
        f"{amounts[name]:.3g} {unit}" if name == "gbSeconds" else f"{amounts[name]:g} {unit}"
        for name, unit in units.items()
        if amounts.get(name)
    ]
    parts += [f"${amounts['usd']:.6f}{_left_out(costs.get('covers'))}"] if "usd" in amounts else []
    return [Line(" · ".join(parts))] if parts else []


def _left_out(covers: object) -> str:
    """Return what an amount of dollars does not cover, if the server tells it."""
    missing = [name for part, name in _PARTS.items() if isinstance(covers, list) and part not in covers]
    return f" without {' and '.join(missing)}" if missing else ""
