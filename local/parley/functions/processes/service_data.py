"""Botocore's descriptions of AWS's services, read once in the zygote for all environments.

Botocore reads a description of each service that it makes a client for, and of all endpoints: 11 MB of Python objects
for DynamoDB, Lambda and the connections' API. Without this each environment had its own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any


def share(services: Iterable[str]) -> None:
    """Read the data of these services now, if botocore is loaded. A name that is no service is skipped.

    All sessions get the same loader of data, which keeps what it has read; botocore makes one for each session. A
    session with a data path of its own (`AWS_DATA_PATH`) still does.
    """
    botocore: Any = sys.modules.get("botocore.session")
    if botocore is None:
        return
    create, loader = botocore.create_loader, botocore.create_loader()
    botocore.create_loader = lambda search_path=None: create(search_path) if search_path else loader
    session = botocore.Session()
    unsigned = sys.modules["botocore.config"].Config(signature_version=sys.modules["botocore"].UNSIGNED)
    known = set(session.get_available_services())
    for service in known.intersection(services):
        # A client is made because that reads exactly what later clients read. It is never used.
        with suppress(Exception):
            session.create_client(service, "us-east-1", config=unsigned)
