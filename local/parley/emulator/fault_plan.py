"""The fault plan that the options name."""

from __future__ import annotations

from collections.abc import Mapping

from parley.emulator.options import Options
from parley.errors import StartError
from parley.faults.injector import Injector
from parley.faults.plan import PlanError
from parley.trace import Trace


def load_injector(options: Options, overrides: Mapping[str, str], trace: Trace) -> Injector | None:
    """Return the injector with the plan of `--faults`; without that option the plan is empty. Raises `StartError`.

    None if nothing may fail: functions call a DynamoDB elsewhere, and nobody has asked for faults.
    """
    if options.faults is None:
        return Injector(b"{}", trace) if options.embeds_dynamodb else None
    if not options.embeds_dynamodb and overrides.get("AWS_ACCESS_KEY_ID"):
        raise StartError(
            "Faults must not reach the tables of a real account, so --faults refuses to run with AWS_ACCESS_KEY_ID. "
            "To use a DynamoDB Local, unset it in the shell and in .env; to use the embedded one, leave out --dynamodb."
        )
    try:
        return Injector(options.faults.read_bytes(), trace)
    except (OSError, PlanError) as error:
        raise StartError(f"The fault plan {options.faults} cannot be used: {error}. Correct it.") from None
