"""Secrets by name: a setting that says where its value is kept, so that the value is in no template and no console."""

from __future__ import annotations

from handlers.chat.errors import Misconfigured

SSM, SECRETS_MANAGER = "ssm:", "secretsmanager:"
CACHED_SECONDS = 300
"""How long a value is used before it is asked for again: a rotated secret is seen after that."""


def is_named(setting: str) -> bool:
    """Tell whether a setting names a secret (`ssm:/path`, `secretsmanager:name`) instead of being it."""
    return setting.startswith((SSM, SECRETS_MANAGER))


def value_of(setting: str) -> str:
    """Return a secret: the setting itself, or the value that it names. Raises `Misconfigured` where there is none."""
    if not is_named(setting):
        return setting
    # Not at the top: only a deployment that names its secrets pays for it.
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
