"""Access control as the options ask for it."""

from __future__ import annotations

from collections.abc import Mapping

from parley.emulator.options import Options
from parley.errors import StartError
from parley.iam.access import AccessControl
from parley.template.model import Template
from parley.trace import Trace


def access_control(
    options: Options, template: Template, overrides: Mapping[str, str], trace: Trace
) -> AccessControl | None:
    """Return the access control; None with `--iam=off`, or if calls do not show which function makes them.

    Raises `StartError` if it is to be enforced and cannot be.
    """
    if options.iam == "off":
        return None
    if options.functions.mode == "inline":
        if options.iam == "enforce":
            raise StartError(
                "--iam=enforce needs functions as processes: inline, all functions sign their calls with one key. "
                "Leave out --functions inline, or set --iam=off."
            )
        trace.record("note", text="IAM is not checked: inline, all functions sign their calls with one key.")
        return None
    if not options.embeds_dynamodb and not options.intercepts_dynamodb:
        trace.record(
            "note",
            text="IAM is not checked: functions call the DynamoDB of --dynamodb themselves, all with one key. "
            "With --iam=enforce their calls go through the emulator.",
        )
        return None
    if not options.embeds_dynamodb and options.iam == "enforce" and overrides.get("AWS_ACCESS_KEY_ID"):
        raise StartError(
            "--iam=enforce signs the calls of DynamoDB anew, so it cannot reach the tables of a real account. "
            "To use a DynamoDB Local, unset AWS_ACCESS_KEY_ID in the shell and in .env; to use the embedded one, "
            "leave out --dynamodb."
        )
    return AccessControl(template, options.iam, trace)
