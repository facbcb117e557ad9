"""Which connections of a user make way for a new one, where there are as many as there may be: the oldest.

They, and not the new one: a row whose connection is long gone must keep nobody out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from handlers.chat.store import Store

MOST_CLOSED = 5
"""How many are closed at once, where a user has that many more than there may be."""


def crowded_out(store: Store, user_id: str, most: int, now: datetime) -> Sequence[str]:
    """Return the connections to be closed for one more of a user's. 0 `most` is no limit, and costs no read.

    The index that is asked is some milliseconds late, so connections that open at once may all find room.
    """
    if not most:
        return ()
    connections = store.connections.open_of_user(user_id, now)
    return connections[: max(0, min(len(connections) + 1 - most, MOST_CLOSED))]
