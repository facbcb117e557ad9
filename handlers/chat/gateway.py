"""Frames to connections: API Gateway's PostToConnection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handlers.chat.errors import ConnectionGone

if TYPE_CHECKING:
    from mypy_boto3_apigatewaymanagementapi import ApiGatewayManagementApiClient


class Gateway:
    """Posts to the connections of this deployment's WebSocket API."""

    def __init__(self, client: ApiGatewayManagementApiClient) -> None:
        self._client = client

    def post(self, connection_id: str, text: bytes) -> None:
        """Send one frame. Raises `ConnectionGone` for a 410, botocore's exceptions for the rest."""
        try:
            self._client.post_to_connection(ConnectionId=connection_id, Data=text)
        except self._client.exceptions.GoneException:
            raise ConnectionGone(connection_id) from None
