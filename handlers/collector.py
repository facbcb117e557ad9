"""The garbage collector, which rests while a function starts.

While modules are loaded almost nothing is garbage, and yet a seventh of the time would go into looking for it. So each
entry point imports this module before its others of ours, and ends with `wake`.
"""

from __future__ import annotations

import gc

gc.disable()


def wake() -> None:
    """Let the collector work again. What is loaded by now stays for good, so it need not look at that ever again."""
    gc.freeze()
    gc.enable()
