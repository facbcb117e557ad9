"""Frames to connections: API Gateway's PostToConnection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from handlers.chat.errors import ConnectionGone, PostFailed

if TYPE_CHECKING:
    from mypy_boto3_apigatewaymanagementapi import ApiGatewayManagementApiClient


class Gateway:
    """Posts to the connections of this deployment's WebSocket API."""

    def __init__(self, client: ApiGatewayManagementApiClient) -> None:
        self._client = client

    def post(self, connection_id: str, text: bytes) -> None:
        """Send one frame. Raises `ConnectionGone` for a 410, `PostFailed` for the rest, after boto3's own retries."""
        try:
            self._client.post_to_connection(ConnectionId=connection_id, Data=text)
        except self._client.exceptions.GoneException:
            raise ConnectionGone(connection_id) from None
        except ClientError as error:
            raise PostFailed(error.response["Error"]["Code"]) from error
        except BotoCoreError as error:
            raise PostFailed(type(error).__name__) from error
