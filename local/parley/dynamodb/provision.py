"""The template's tables, and the users, created in the DynamoDB at a URL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http.client import HTTPException
from typing import Any

from parley.account import REGION
from parley.dynamodb.plain_client import PlainClient, Refusal
from parley.errors import StartError
from parley.template.model import Table, Template


def provision(endpoint: str, template: Template, users: Iterable[str], credentials: Mapping[str, str]) -> None:
    """Create the template's tables, and the users, in the DynamoDB at this URL. What exists is kept.

    `credentials` are variables by AWS's names; without them keys are used that open nothing.
    Raises `StartError` if no DynamoDB answers, or if it refuses.
    """
    # Not at the top: botocore's import takes long, and the emulator starts other parts meanwhile.
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client = _client(endpoint, credentials)
        create_tables(client, template.tables)
        _add_users(client, template, users)
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        if code.isdigit():  # a bare HTTP status: the answer names no error of DynamoDB's
            raise _not_a_dynamodb(endpoint, f"the server there answered with {code}") from None
        raise StartError(
            f"The DynamoDB at {endpoint} refused to create the template's tables: {code}: {message}. "
            "Correct them there or in the template, or leave out --dynamodb for the embedded one."
        ) from None
    except (BotoCoreError, ValueError) as error:
        raise _not_a_dynamodb(endpoint, str(error).rstrip(".")) from None


def provision_embedded(endpoint: str, template: Template, users: Iterable[str]) -> None:
    """Do the same in the emulator's own DynamoDB."""
    client = PlainClient(endpoint)
    try:
        create_tables(client, template.tables)
        _add_users(client, template, users)
    except Refusal as error:
        raise StartError(f"DynamoDB refused to create the template's tables: {error}. Correct the template.") from None
    except (OSError, HTTPException, ValueError) as error:
        raise StartError(f"The embedded DynamoDB does not answer: {error}. Start the emulator again.") from None


def _client(endpoint: str, credentials: Mapping[str, str]) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name=credentials.get("AWS_REGION", REGION),
        aws_access_key_id=credentials.get("AWS_ACCESS_KEY_ID", "emulator"),
        aws_secret_access_key=credentials.get("AWS_SECRET_ACCESS_KEY", "emulator"),
        aws_session_token=credentials.get("AWS_SESSION_TOKEN") or None,
        config=Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1}),
    )


def _not_a_dynamodb(endpoint: str, reason: str) -> StartError:
    return StartError(
        f"No DynamoDB at {endpoint}: {reason}. Start one there, or leave out --dynamodb for the embedded one."
    )


def create_tables(client: Any, tables: Iterable[Table]) -> None:
    """Create tables with a boto3 DynamoDB client, and wait until they can be used. Existing tables are kept."""
    created = []
    for table in tables:
        try:
            client.create_table(**table.definition)
        except client.exceptions.ResourceInUseException:
            continue
        created.append(table)
    for table in created:
        client.get_waiter("table_exists").wait(TableName=table.name, WaiterConfig={"Delay": 1})
        if table.ttl_attribute:
            ttl = {"Enabled": True, "AttributeName": table.ttl_attribute}
            client.update_time_to_live(TableName=table.name, TimeToLiveSpecification=ttl)


def _add_users(client: Any, template: Template, users: Iterable[str]) -> None:
    """Add users to the table that a function has in its variable USERS_TABLE, if any function has one."""
    known = (function.environment.get("USERS_TABLE") for function in template.functions.values())
    table = next(filter(None, known), None)
    if table is None:
        return
    for user in users:
        item = {"userId": {"S": user}, "name": {"S": user}}
        try:
            client.put_item(TableName=table, Item=item, ConditionExpression="attribute_not_exists(userId)")
        except client.exceptions.ConditionalCheckFailedException:
            continue
