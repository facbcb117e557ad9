"""The template's tables, and the users, created in the DynamoDB at a URL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http.client import HTTPException
from typing import Any

from parley.account import local_client
from parley.dynamodb.plain_client import PlainClient, Refusal
from parley.errors import StartError
from parley.template.model import Table, Template


def provision(
    endpoint: str,
    template: Template,
    users: Iterable[str],
    credentials: Mapping[str, str],
    remedy: str | None = None,
) -> None:
    """Create the template's tables, and the users, in the DynamoDB at this URL. What exists is kept.

    `credentials` are variables by AWS's names; without them keys are used that open nothing. If `remedy`, the next step
    for a table with other keys than the template says, is given, tables that exist are brought up to the template.
    Raises `StartError` if no DynamoDB answers, or if it refuses.
    """
    # Not at the top: botocore's import takes long, and the emulator starts other parts meanwhile.
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client = _client(endpoint, credentials)
        create_tables(client, template.tables, remedy)
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


def provision_embedded(endpoint: str, template: Template, users: Iterable[str], remedy: str | None = None) -> None:
    """Do the same in the emulator's own DynamoDB."""
    client = PlainClient(endpoint)
    try:
        create_tables(client, template.tables, remedy)
        _add_users(client, template, users)
    except Refusal as error:
        raise StartError(f"DynamoDB refused to create the template's tables: {error}. Correct the template.") from None
    except (OSError, HTTPException, ValueError) as error:
        raise StartError(f"The embedded DynamoDB does not answer: {error}. Start the emulator again.") from None


def _client(endpoint: str, credentials: Mapping[str, str]) -> Any:
    from botocore.config import Config

    config = Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1})
    return local_client("dynamodb", endpoint, config, credentials)


def _not_a_dynamodb(endpoint: str, reason: str) -> StartError:
    return StartError(
        f"No DynamoDB at {endpoint}: {reason}. Start one there, or leave out --dynamodb for the embedded one."
    )


def create_tables(client: Any, tables: Iterable[Table], remedy: str | None = None) -> None:
    """Create tables with a boto3 DynamoDB client, and wait until they can be used. Existing tables are kept.

    With a `remedy` they also get the template's new indexes and its time to live. Raises `StartError` with it for one
    that has other keys.
    """
    created = []
    for table in tables:
        try:
            client.create_table(**table.definition)
        except client.exceptions.ResourceInUseException:
            if remedy is not None:
                _bring_up(client, table, remedy)
            continue
        created.append(table)
    for table in created:
        _wait_for(client, table)
        _set_time_to_live(client, table)


def _wait_for(client: Any, table: Table) -> None:
    client.get_waiter("table_exists").wait(TableName=table.name, WaiterConfig={"Delay": 1})


def _set_time_to_live(client: Any, table: Table) -> None:
    if table.ttl_attribute:
        ttl = {"Enabled": True, "AttributeName": table.ttl_attribute}
        client.update_time_to_live(TableName=table.name, TimeToLiveSpecification=ttl)


def _bring_up(client: Any, table: Table, remedy: str) -> None:
    """Give a table that exists what the template has added to it since."""
    found = client.describe_table(TableName=table.name)["Table"]
    before, wanted = table_keys(found), table_keys(table.definition)
    changed = sorted(index for index in wanted if index in before and wanted[index] != before[index])
    if changed:
        index = changed[0]
        where = f"The index {index} of the table {table.name}" if index else f"The table {table.name}"
        raise StartError(
            f"{where} has the keys {_listed(before[index])}, and the template says {_listed(wanted[index])}. {remedy}"
        )
    for index in table.definition.get("GlobalSecondaryIndexes", []):
        if index["IndexName"] not in before:
            client.update_table(
                TableName=table.name,
                AttributeDefinitions=table.definition["AttributeDefinitions"],
                GlobalSecondaryIndexUpdates=[{"Create": index}],
            )
            _wait_for(client, table)
    described = client.describe_time_to_live(TableName=table.name)["TimeToLiveDescription"]
    if described.get("AttributeName") != table.ttl_attribute and described["TimeToLiveStatus"] == "DISABLED":
        _set_time_to_live(client, table)


Keys = tuple[tuple[str, str, str], ...]
"""The keys of a table or an index: name, kind and type of each."""


def table_keys(table: Mapping[str, Any]) -> dict[str, Keys]:
    """Return the keys of a table, by an empty name, and of its indexes. `table` is a definition or a description."""
    types = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}

    def of(described: Mapping[str, Any]) -> Keys:
        schema = described["KeySchema"]
        return tuple((each["AttributeName"], each["KeyType"], types[each["AttributeName"]]) for each in schema)

    indexes = [each for kind in ("Global", "Local") for each in table.get(f"{kind}SecondaryIndexes") or ()]
    return {"": of(table)} | {each["IndexName"]: of(each) for each in indexes}


def _listed(keys: Keys) -> str:
    return ", ".join(f"{name} ({kind} {type_})" for name, kind, type_ in keys)


def _add_users(client: Any, template: Template, users: Iterable[str]) -> None:
    for row in user_rows(template, users):
        try:
            client.put_item(**row, ConditionExpression="attribute_not_exists(userId)")
        except client.exceptions.ConditionalCheckFailedException:
            continue


def user_rows(template: Template, users: Iterable[str]) -> list[dict[str, Any]]:
    """Return the rows of users, as arguments of PutItem.

    They are for the table that a function has in its variable USERS_TABLE, if any function has one.
    """
    known = (function.environment.get("USERS_TABLE") for function in template.functions.values())
    table = next(filter(None, known), None)
    return [{"TableName": table, "Item": {"userId": {"S": user}, "name": {"S": user}}} for user in users if table]
