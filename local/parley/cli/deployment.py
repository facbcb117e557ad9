"""A deployment's tables and functions, and an administrator's operations on them.

These do not use the HTTP API: it needs an administrator's token, and the first administrator has none yet. Instead they
need the right to write the tables.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from parley.account import local_client
from parley.emulator.paths import DYNAMODB_PATH
from parley.errors import StartError
from parley.operations.access import CONFIG, Access
from parley.operations.stack import get

_OUTPUTS = ("UsersTableName", "ConnectionsTableName", "DeliverFunctionName", "ManagementUrl")


@dataclass(frozen=True)
class Deployment:
    """The names of a deployment's tables and functions. `client` makes a boto3 client of a service.

    That takes as long as a few calls, and most commands need one client only.
    """

    users_table: str
    connections_table: str
    deliver_function: str
    client: Callable[[str], Any]

    @classmethod
    def emulated(cls, port: int, stage: str, dynamodb: str | None) -> Deployment:
        """Return the deployment that an emulator on this port runs. `dynamodb` is the URL of its `--dynamodb`."""
        url = f"http://127.0.0.1:{port}"
        urls = {
            "dynamodb": dynamodb or f"{url}{DYNAMODB_PATH}",
            "lambda": url,
            "apigatewaymanagementapi": f"{url}/{stage}",
        }
        return cls(
            "UsersTable",
            "ConnectionsTable",
            "DeliverFunction",
            lambda service: local_client(service, urls[service], CONFIG),
        )

    @classmethod
    def deployed(cls, stack: str) -> Deployment:
        """Return the deployment of a CloudFormation stack, with the credentials and the region that boto3 finds.

        Raises `StartError` if there is no such stack, or if it is not one of Parley's.
        """
        access = Access.found()
        found = get(access, stack)
        users, connections, deliver, url = (found.output(name) for name in _OUTPUTS)
        options = {"apigatewaymanagementapi": {"endpoint_url": url}}
        return cls(users, connections, deliver, lambda service: access.client(service, **options.get(service, {})))

    @cached_property
    def dynamodb(self) -> Any:
        """The client of the tables."""
        return self.client("dynamodb")

    @cached_property
    def functions(self) -> Any:
        """The client of Lambda."""
        return self.client("lambda")

    @cached_property
    def management(self) -> Any:
        """The client of the WebSocket API's connections."""
        return self.client("apigatewaymanagementapi")

    def add_user(self, user_id: str, name: str | None, roles: tuple[str, ...]) -> None:
        """Create a user. Raises `StartError` if a user has this id already, or if no user can have it."""
        if not _is_user_id(user_id):
            raise StartError(
                f"No user can have the id {user_id!r}: an id has 1 to 128 characters, without / ? % and control"
                " characters, and is not . or .."
            )
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        item: dict[str, Any] = {"userId": {"S": user_id}, "createdAt": {"S": now.replace("+00:00", "+0000")}}
        if name:
            item["name"] = {"S": name}
        if roles:
            item["roles"] = {"L": [{"S": role} for role in sorted(set(roles))]}
        try:
            self.dynamodb.put_item(
                TableName=self.users_table, Item=item, ConditionExpression="attribute_not_exists(userId)"
            )
        except self.dynamodb.exceptions.ConditionalCheckFailedException:
            raise StartError(f"There is a user {user_id} already. See parley users list.") from None

    def set_disabled(self, user_id: str, disabled: bool) -> int:
        """Disable a user and close their connections, or enable the user. Return the number of closed connections.

        Raises `StartError` if there is no such user.
        """
        update: dict[str, Any] = {"UpdateExpression": "REMOVE disabled"}
        if disabled:
            update = {"UpdateExpression": "SET disabled = :yes", "ExpressionAttributeValues": {":yes": {"BOOL": True}}}
        try:
            self.dynamodb.update_item(
                TableName=self.users_table,
                Key={"userId": {"S": user_id}},
                ConditionExpression="attribute_exists(userId)",
                **update,
            )
        except self.dynamodb.exceptions.ConditionalCheckFailedException:
            raise _unknown(user_id) from None
        return sum(map(self._close, list(self._connections(user_id)))) if disabled else 0

    def users(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of all users, in DynamoDB's types."""
        for page in self.dynamodb.get_paginator("scan").paginate(TableName=self.users_table):
            yield from page["Items"]

    def send(self, frame: dict[str, Any], user_id: str | None) -> int:
        """Send a frame to a user's connections, or to everyone's. Return the number of the user's connections.

        The function delivers it later. Raises `StartError` if there is no such user.
        """
        connections = 0
        payload: dict[str, Any] = {"frame": frame}
        if user_id is not None:
            key = {"userId": {"S": user_id}}
            if "Item" not in self.dynamodb.get_item(TableName=self.users_table, Key=key):
                raise _unknown(user_id)
            connections = len(list(self._connections(user_id)))
            payload["user_id"] = user_id
        self.functions.invoke(FunctionName=self.deliver_function, InvocationType="Event", Payload=json.dumps(payload))
        return connections

    def _connections(self, user_id: str) -> Iterator[str]:
        query = {
            "TableName": self.connections_table,
            "IndexName": "byUser",
            "KeyConditionExpression": "userId = :user",
            "ExpressionAttributeValues": {":user": {"S": user_id}},
        }
        for page in self.dynamodb.get_paginator("query").paginate(**query):
            yield from (item["connectionId"]["S"] for item in page["Items"])

    def _close(self, connection_id: str) -> bool:
        try:
            self.management.delete_connection(ConnectionId=connection_id)
        except self.management.exceptions.GoneException:
            return False
        return True


def no_emulator(error: ClientError | BotoCoreError, port: int) -> StartError:
    """Return the error text for a call of the emulator that failed."""
    what, reason = f"the emulator on port {port}", str(error).rstrip(".")
    if isinstance(error, ClientError):
        return StartError(f"{what} refused the call: {reason}. Check the name and --dynamodb.")
    return StartError(
        f"No answer from {what}: {reason}. Start it with parley up (see --port), or name a deployment with --stack."
    )


def _unknown(user_id: str) -> StartError:
    return StartError(f"There is no user {user_id}. parley users add {user_id} creates one.")


def _is_user_id(user_id: str) -> bool:
    """Return True for an id that the functions accept: the rule of `is_user_id` in handlers/chat/records.py."""
    return (
        1 <= len(user_id) <= 128
        and user_id not in (".", "..")
        and set("/?%").isdisjoint(user_id)
        and not any(unicodedata.category(character).startswith("C") for character in user_id)
    )
