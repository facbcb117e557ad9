"""Callers that sign requests, as API Gateway names them in events."""

from __future__ import annotations

from collections.abc import Mapping

from parley.account import ACCOUNT_ID
from parley.iam.denials import principal
from parley.template.model import Role

_USER = "emulator"
"""The name of the IAM user that has every access key that is no function's."""


def session_id(function: str) -> str:
    """Return the id of the session in which a function uses its role."""
    return f"AROAEMULATOR:{function}"


def caller_identity(access_key: str, function: str, roles: Mapping[str, Role]) -> dict[str, str]:
    """Return what `identity` has of the caller that signs with a key. `function` is empty if it is no function.

    These are the keys of the developer guide's page "WebSocket API mapping template reference". Events leave out those
    without a value: the organisation's, and those of Cognito identities.
    """
    if function:
        role = roles.get(function, Role(f"{function}Role"))
        caller, arn = session_id(function), principal(role.name, function)
    else:
        caller, arn = "AIDAEMULATOR", f"arn:aws:iam::{ACCOUNT_ID}:user/{_USER}"
    return {"accountId": ACCOUNT_ID, "accessKey": access_key, "caller": caller, "user": caller, "userArn": arn}
