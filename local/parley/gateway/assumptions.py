"""Assumptions about undocumented behaviour of API Gateway, a named switch for each (docs/aws.md, mark U)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args, get_type_hints


@dataclass(frozen=True, slots=True)
class Assumptions:
    """Switches for undocumented behaviour.

    The first value of each is its default; `--assume name=value` sets another.
    """

    connect_null: Literal["refused", "open"] = "refused"
    """Result of a `$connect` that returns null, or another value that is no object: a 502, or an open connection."""

    missing_status: Literal["200", "none"] = "200"
    """Status of an answer, such as `{}`, without `statusCode`: 200, or none, as if the function had returned null."""

    reserved_key: Literal["default", "forbidden"] = "default"
    """Route of a message whose route key begins with `$`: `$default`, or none."""

    refusal_body: Literal["empty", "message"] = "empty"
    """Body of a refused handshake: empty, or JSON with a `message`."""

    response_headers: Literal["dropped", "passed"] = "dropped"
    """Headers of `$connect`'s answer: dropped, or passed to the client. The subprotocol is always passed."""

    ping: Literal["ignored", "keeps-alive"] = "ignored"
    """Effect of a client's ping on the idle timeout: none, or that of a message."""

    network_loss: Literal["at-once", "when-idle"] = "at-once"
    """Time of `$disconnect` after a network loss: at once, or after the idle timeout."""

    throttled_message: Literal["frame", "silent"] = "frame"
    """Answer to a throttled message: a `Too Many Requests` frame, or none."""

    post_in_connect: Literal["gone", "hangs"] = "gone"
    """Answer to a post from the connection's own `$connect`: 410 at once, or none until the handshake is done."""

    large_post: Literal["one-frame", "split"] = "one-frame"
    """Delivery of a post of more than 32 KB: in one frame, or in fragments of one message."""

    stage_variables: Literal["in-event", "absent"] = "in-event"
    """Stage variables in events: in `stageVariables` if the stage has any, or never."""

    principal_missing: Literal["allowed", "refused"] = "allowed"
    """Result of an authorizer's answer without `principalId`: that of its policy, or a 500."""

    unauthorized_text: Literal["invalid", "unauthorized"] = "invalid"
    """Result of an authorizer that returns the text `Unauthorized` and does not raise it: a 500, or a 401."""

    added_headers: Literal["present", "missing"] = "present"
    """Identity sources that are headers of the gateway's own, such as `X-Forwarded-For`: present, or missing (401)."""

    plain_request: Literal["426", "403"] = "426"
    """Status of a GET on a stage that asks for no upgrade to WebSocket."""

    @property
    def status_if_missing(self) -> int | None:
        """The status of an answer that names none."""
        return 200 if self.missing_status == "200" else None

    @classmethod
    def of(cls, given: Iterable[str]) -> Assumptions:
        """Return the assumptions with these `name=value` settings. Raises `ValueError` for an unknown one."""
        assumptions = cls()
        for each in given:
            name, _, value = each.partition("=")
            choices = cls.choices()
            if value not in choices.get(name, ()):
                known = ", ".join(f"{name}={'|'.join(values)}" for name, values in choices.items())
                raise ValueError(f"There is no assumption {each!r}. Choose one of: {known}.")
            assumptions = replace(assumptions, **{name: value})  # type: ignore[arg-type]
        return assumptions

    @classmethod
    def choices(cls) -> dict[str, tuple[str, ...]]:
        """Return the possible values of each switch, the default first."""
        hints = get_type_hints(cls)
        return {field.name: get_args(hints[field.name]) for field in fields(cls)}
