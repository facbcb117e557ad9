"""The sizes of a chat's newest messages, as its item keeps them: 4 bytes each, after those of the messages' number."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from handlers.chat.records import Size

_PAIR = struct.Struct("<HH")


def kept_sizes(sizes: Iterable[Size], message_count: int) -> bytes:
    """Return the bytes of sizes in a chat of so many messages."""
    return b"".join(_PAIR.pack(*each) for each in (_counted(message_count), *sizes))


def sizes_in(kept: bytes | None, message_count: int) -> tuple[Size, ...]:
    """Return the sizes of a chat that has so many messages now. None of them if they are of other messages."""
    # A function of an earlier version stores messages and leaves the sizes as they were.
    if not kept or len(kept) % _PAIR.size:
        return ()
    counted, *pairs = _PAIR.iter_unpack(kept)
    return tuple(Size(chars, size) for chars, size in pairs) if counted == _counted(message_count) else ()


def _counted(message_count: int) -> tuple[int, int]:
    return divmod(message_count % 2**32, 2**16)
