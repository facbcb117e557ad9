"""Hanging up on connections: API Gateway's DeleteConnection (docs/aws.md section 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


def close(connections: Iterable[str], client: Callable[[], Any]) -> int:
    """Close connections and return how many were open. `client` makes a boto3 client of the management API.

    The gateway tells each `$disconnect`, which forgets the row. May raise botocore's errors.
    """
    open_ones = 0
    gateway = None
    for connection_id in connections:
        gateway = gateway or client()
        try:
            gateway.delete_connection(ConnectionId=connection_id)
            open_ones += 1
        except gateway.exceptions.GoneException:
            continue
    return open_ones
