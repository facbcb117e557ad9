"""Secrets by name: a setting may name the place of its value, so that no template and no console holds the value."""

from __future__ import annotations

from handlers.chat.errors import Misconfigured
from handlers.chat.settings import is_named

CACHED_SECONDS = 300
"""The age at which a value is read again: a rotated secret is used after this time at the latest."""


def value_of(setting: str) -> str:
    """Return a secret: the setting itself, or the value that it names. Raises `Misconfigured` if that is unreadable."""
    if not is_named(setting):
        return setting
    # Imported here: only a deployment that names its secrets pays for it.
    from aws_lambda_powertools.utilities import parameters
    from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

    kind, _, name = setting.partition(":")
    try:
        if kind == "ssm":
            found = parameters.get_parameter(name, decrypt=True, max_age=CACHED_SECONDS)
        else:
            found = parameters.get_secret(name, max_age=CACHED_SECONDS)
    except GetParameterError as error:
        raise Misconfigured(
            f"The secret {setting} cannot be read: {error}. Correct its name, or the permission"
        ) from None
    return str(found)
