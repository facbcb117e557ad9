"""Screen: a text that comes in pieces, and what of it may be shown by now. Pure: the hook is a function.

What was shown cannot be taken back. So the newest characters are held back, `window` of them: a text of that length
that is to be masked is seen in one piece before any of it is shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice

from handlers.chat.assistants import Refusal

STRIDE = 200
"""Characters after which a text is checked, if no sentence and no line ends."""

_MAX_TRIES = 8
_END = re.compile(r"[.!?…][\"'”»)\]]*\s+|[。！？]|\n+")


class Screen:
    """A text on its way to users. `hook` returns a text as it may be shown, or raises what ends the reply.

    The hook gets what is held back, at the ends of sentences and lines. If it changes nothing there, all of it but the
    window is shown, up to such an end. If it changes something, a part is shown only if it comes out the same alone as
    together with the rest: then no change reaches over the cut. So a hook that changes each text (one that strips it)
    makes the text come at its end.
    """

    def __init__(self, hook: Callable[[str], str], window: int) -> None:
        self._hook = hook
        self._window = window
        self._held = ""
        self._due = 0

    def add(self, text: str) -> str:
        """Take one more piece, and return what may be shown by now."""
        self._held += text
        held, limit = self._held, len(self._held) - self._window
        if len(held) < self._due or not (limit >= STRIDE or (limit > 0 and _END.search(held, 0, limit))):
            return ""
        shown, self._held = self._parted(held, limit)
        # A check costs as much as what is held. After one that shows nothing, the next comes with a good deal more.
        self._due = 0 if shown else len(held) + len(held) // 4
        return shown

    def end(self) -> str:
        """Return the rest of the text."""
        held, self._held, self._due = self._held, "", 0
        return self._hook(held) if held else ""

    def _parted(self, held: str, limit: int) -> tuple[str, str]:
        """Return what may be shown of the held text, and what stays held as it came."""
        screened = self._hook(held)
        if screened == held:
            cut = next(_cuts(held, limit))
            return held[:cut], held[cut:]
        for cut in islice(_cuts(held, limit), _MAX_TRIES):
            with suppress(Refusal):  # of a part alone: then this is no place to cut
                shown = self._hook(held[:cut])
                if shown + self._hook(held[cut:]) == screened:
                    return shown, held[cut:]
        return "", held


def _cuts(held: str, limit: int) -> Iterator[int]:
    """Yield the places where a text may be cut, the best first: ends of sentences and lines, of words, and any."""
    ends = [end.end() for end in reversed(list(_END.finditer(held, 0, limit)))]
    if not ends or limit - ends[0] >= STRIDE:
        space = held.rfind(" ", limit - STRIDE // 2, limit) + 1
        yield from (place for place in (space, limit) if place)
    yield from ends
