"""The account and the region that the emulator stands for. ARNs, events and endpoints name them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

ACCOUNT_ID = "000000000000"
REGION = "us-east-1"

_NO_KEYS: Mapping[str, str] = {"AWS_ACCESS_KEY_ID": "emulator", "AWS_SECRET_ACCESS_KEY": "emulator"}
"""Keys that open nothing, by AWS's names."""

_NO_PROFILE = {"profile": (None, None, None, None)}
"""The variables by which botocore finds a profile: none. A profile that is not there would be an error of each call."""


def secret_arn(name: str) -> str:
    """Return the ARN of a template's secret. After the name it has six characters; on AWS nobody knows them before."""
    suffix = hashlib.sha256(name.encode()).hexdigest()[:6]
    return f"arn:aws:secretsmanager:{REGION}:{ACCOUNT_ID}:secret:{name}-{suffix}"


def local_client(service: str, url: str, config: Any, credentials: Mapping[str, str] = _NO_KEYS) -> Any:
    """Return a boto3 client of a service on this machine, without a profile of the developer's.

    `config` is botocore's. `credentials` are variables by AWS's names; what they lack are keys that open nothing.
    """
    # Not at the top: botocore's import takes long, and the emulator starts other parts meanwhile.
    import boto3
    import botocore.session

    keys = {**_NO_KEYS, **credentials}
    session = boto3.Session(
        botocore_session=botocore.session.Session(_NO_PROFILE),
        region_name=keys.get("AWS_REGION", REGION),
        aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=keys.get("AWS_SESSION_TOKEN") or None,
    )
    return session.client(service, endpoint_url=url, config=config)  # type: ignore[call-overload]
