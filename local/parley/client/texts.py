"""What the client says about frames."""

from __future__ import annotations

from parley.client.actions import Line, Style
from parley.client.frames import Frame, StoredMessage

NOTHING_TO_STOP = "There is no reply to stop."
MESSAGE_HELD = "A reply is being written. Your message follows as soon as it is complete."

_FRIENDLY = {
    "busy": "A reply is being written already. `/stop` ends it.",
    "nothing_to_cancel": NOTHING_TO_STOP,
    "nothing_to_regenerate": "There is no reply yet that could be written anew.",
}


def refusal(error: Frame) -> Line:
    """Say what was refused: kindly where nothing went wrong, else in the server's words."""
    code = error.optional("code") or "error"
    if code in _FRIENDLY:
        return Line(_FRIENDLY[code])
    return Line(f"{error.text('message')} ({code})", Style.ERROR)


def message(stored: StoredMessage) -> Line:
    """Show a stored message."""
    content = "(too long to be shown here)" if stored.content is None else stored.content
    if stored.role == "user":
        return Line(f"› {content}", Style.USER)
    return Line(content, Style.REPLY)


def cost(complete: Frame) -> list[Line]:
    """Say what a reply has cost, where the server tells: `12 frames · 14 write units · $0.000021`."""
    amounts_given = complete.data.get("cost")
    if not isinstance(amounts_given, dict):
        return []
    amounts = {
        name: amount
        for name, amount in amounts_given.items()
        if isinstance(amount, int | float) and not isinstance(amount, bool)
    }
    parts = [
        f"{amounts[name]:g} {unit}"
        for name, unit in (("frames", "frames"), ("readUnits", "read units"), ("writeUnits", "write units"))
        if amounts.get(name)
    ]
    parts += [f"${amounts['usd']:.6f}"] if "usd" in amounts else []
    return [Line(" · ".join(parts))] if parts else []
