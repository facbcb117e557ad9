"""Counts of the objects that a process keeps: what grows with each call is kept for ever."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator


def kept(*packages: str) -> Counter[str]:
    """Count the objects of these packages' classes, by class.

    Other threads may still hold what they have just finished. So ask only for what they have let go of.
    """
    gc.collect()
    kinds = Counter(type(each) for each in gc.get_objects())
    names: Counter[str] = Counter()
    for kind, count in kinds.items():
        # A class may have a descriptor of its own of this name, so that the class itself has no text there.
        if isinstance(kind.__module__, str) and kind.__module__.partition(".")[0] in packages:
            names[f"{kind.__module__}.{kind.__qualname__}"] += count
    return names


def tracked_by_moto() -> Counter[str]:
    """Count the objects in the lists that moto keeps for its dashboard, by class."""
    from moto.core.common_models import BaseModel

    lists = {each.__name__: len(each.instances_tracked) for each in _below(BaseModel)}  # type: ignore[attr-defined]
    return Counter({name: count for name, count in lists.items() if count})


def _below(kind: type) -> Iterator[type]:
    for each in kind.__subclasses__():
        yield each
        yield from _below(each)
