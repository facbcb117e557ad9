"""A delivery: a frame and its receivers, as one of our functions hands it to the function `deliver`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

from handlers.chat.protocol import frames
from handlers.chat.protocol.frames import ServerFrame


@dataclass(frozen=True, slots=True)
class Delivery:
    """A frame, as its JSON object, and its receivers: one of `connection_id`, `user_id`, `segment`.

    A delivery without any of the three is for everyone. One to a user or to a segment is a part of it: the receivers
    after the connection `after`, all of them without it. `part` counts the parts, from 0.
    """

    frame: dict[str, Any]
    connection_id: str | None = None
    user_id: str | None = None
    segment: int | None = None
    after: str | None = None
    part: int = 0

    @classmethod
    def of(cls, payload: dict[str, Any]) -> Self:
        """Read the payload of an invocation. Raises TypeError for anything else."""
        return cls(**payload)

    def payload(self) -> dict[str, Any]:
        """Return the payload of an invocation: the frame, and what is not the default."""
        default = asdict(Delivery(self.frame))
        return {"frame": self.frame} | {name: each for name, each in asdict(self).items() if each != default[name]}


def to_connection(connection_id: str, frame: ServerFrame) -> Delivery:
    """Address a greeting to a connection that may not be open yet."""
    return Delivery(frames.as_json(frame), connection_id=connection_id)


def to_user(user_id: str, frame: ServerFrame) -> Delivery:
    """Address a frame to every connection of a user."""
    return Delivery(frames.as_json(frame), user_id=user_id)


def to_everyone(frame: ServerFrame) -> Delivery:
    """Address a frame to every connection."""
    return Delivery(frames.as_json(frame))
