"""What nobody outside AWS knows for sure: one named switch for each, with what the emulator assumes (docs/aws.md, mark U)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args, get_type_hints

from parley.errors import StartError


@dataclass(frozen=True, slots=True)
class Assumptions:
    """The switches. The first value of each is its default; `--assume name=value` sets another."""

    connect_null: Literal["refused", "open"] = "refused"
    """What a `$connect` that returns null, or no status, comes to: 502, or an open connection."""

    reserved_key: Literal["default", "forbidden"] = "default"
    """Where a message goes whose route key begins with `$`: to `$default`, or nowhere."""

    refusal_body: Literal["empty", "message"] = "empty"
    """The body of a refused handshake: none, or JSON with a `message`."""

    response_headers: Literal["dropped", "passed"] = "dropped"
    """What becomes of the headers of `$connect`'s answer, the subprotocol apart."""

    ping: Literal["ignored", "keeps-alive"] = "ignored"
    """Whether a ping of the client's is data for the idle time-out."""

    network_loss: Literal["at-once", "when-idle"] = "at-once"
    """When `$disconnect` comes for a connection whose network was lost."""

    throttled_message: Literal["frame", "silent"] = "frame"
    """Whether a message over a rate is answered with a `Too Many Requests` frame."""

    post_in_connect: Literal["gone", "hangs"] = "gone"
    """What a post from the connection's own `$connect` gets: 410 at once, or no answer until the handshake is done."""

    large_post: Literal["one-frame", "split"] = "one-frame"
    """How a post of more than 32 KB reaches the client: as one frame, or as fragments of one message."""

    stage_variables: Literal["in-event", "absent"] = "in-event"
    """Whether the events of functions have `stageVariables`, where the stage has some."""

    @classmethod
    def of(cls, given: Iterable[str]) -> Assumptions:
        """Return the assumptions with those given as `name=value`. Raises `StartError` for what there is not."""
        assumptions = cls()
        for each in given:
            name, _, value = each.partition("=")
            choices = cls.choices()
            if value not in choices.get(name, ()):
                known = ", ".join(f"{name}={'|'.join(values)}" for name, values in choices.items())
                raise StartError(f"There is no assumption {each!r}. Choose of: {known}.")
            assumptions = replace(assumptions, **{name: value})  # type: ignore[arg-type]
        return assumptions

    @classmethod
    def choices(cls) -> dict[str, tuple[str, ...]]:
        """Return the values that each switch can have, the default first."""
        hints = get_type_hints(cls)
        return {field.name: get_args(hints[field.name]) for field in fields(cls)}
