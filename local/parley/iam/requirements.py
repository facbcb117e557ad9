"""Permissions that calls of AWS's services need: actions and resources (Service Authorization Reference). No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from html import unescape
from typing import Any
from urllib.parse import unquote

from parley.account import ACCOUNT_ID, REGION, secret_arn
from parley.template.model import Secret

CONNECTIONS = "@connections/*"
"""The end of the ARN of all connections of a stage. Policies do not tell connections apart."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a service: the name that it is signed for, the operation, and the parameters."""

    service: str
    operation: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Permission:
    """An action on a resource. `resource` is an ARN, or `*` for an action without one; None if it is not known.

    `via` is the service that needs the action in the caller's name.
    """

    action: str
    resource: str | None
    via: str = ""


def permissions(call: Call, keys: Mapping[str, str | None] | None = None) -> list[Permission]:
    """Return what a call needs, each permission once.

    `keys` are the ARNs of the customer's keys that encrypt parameters and secrets, by the ARN of these. For a service
    that the emulator does not have, the resource is not known.
    """
    needs = _SERVICES.get(call.service)
    found = needs(call) if needs else _other(call)
    return list(dict.fromkeys(_with_decryption(found, call, keys or {})))


def arn(service: str, resource: str) -> str:
    """Return the ARN of a resource in the emulator's account and region."""
    return f"arn:aws:{service}:{REGION}:{ACCOUNT_ID}:{resource}"


def _table(name: Any, index: Any = None) -> str:
    table = str(name) if str(name).startswith("arn:") else arn("dynamodb", f"table/{name}")
    return f"{table}/index/{index}" if index else table


_TRANSACTION_ACTIONS = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "Get": "GetItem"}
_PARTIQL = re.compile(
    r"\b(?P<verb>SELECT\b.*?\bFROM|INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+"
    r'"?(?P<table>[\w.-]+)"?(?:\."?(?P<index>[\w.-]+)"?)?',
    re.IGNORECASE | re.DOTALL,
)
_MAX_STATEMENT = 8192
"""Characters of a statement at most, as the API reference of `ExecuteStatement` says."""


def _dynamodb(call: Call) -> Iterator[Permission]:
    """Return what a call of DynamoDB needs: for each item of a transaction, the action of the item."""
    given = call.parameters
    match call.operation:
        case "TransactWriteItems" | "TransactGetItems":
            for kind, item in _pairs(given.get("TransactItems")):
                action = "ConditionCheckItem" if kind == "ConditionCheck" else _TRANSACTION_ACTIONS.get(kind, kind)
                yield Permission(f"dynamodb:{action}", _table(item.get("TableName")))
        case "BatchWriteItem" | "BatchGetItem":
            for name in given.get("RequestItems") or ():
                yield Permission(f"dynamodb:{call.operation}", _table(name))
        case "ExecuteStatement" | "BatchExecuteStatement" | "ExecuteTransaction":
            for statement in given.get("Statements") or given.get("TransactStatements") or [given]:
                yield from _partiql(statement)
        case "ListTables" | "DescribeLimits" | "DescribeEndpoints":
            yield Permission(f"dynamodb:{call.operation}", "*")
        case operation:
            name = given.get("TableName") or given.get("ResourceArn")
            yield Permission(f"dynamodb:{operation}", _table(name, given.get("IndexName")) if name else None)


def _pairs(items: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for item in items or ():
        yield from item.items()


def _partiql(statement: Mapping[str, Any]) -> Iterator[Permission]:
    match = _PARTIQL.search(str(statement.get("Statement", ""))[:_MAX_STATEMENT])
    if match:
        verb = match["verb"].split()[0].capitalize()
        yield Permission(f"dynamodb:PartiQL{verb}", _table(match["table"], match["index"]))


def _lambda(call: Call) -> Iterator[Permission]:
    name, qualifier = call.parameters["FunctionName"], call.parameters.get("Qualifier", "")
    function = arn("lambda", f"function:{name}" + (f":{qualifier}" if qualifier else ""))
    yield Permission("lambda:InvokeFunction", function)


def _connections(call: Call) -> Iterator[Permission]:
    given = call.parameters
    resource = arn("execute-api", f"{given['ApiId']}/{given['Stage']}/{given['Method']}/{CONNECTIONS}")
    yield Permission("execute-api:ManageConnections", resource)


def _sqs(call: Call) -> Iterator[Permission]:
    """Return what a call of SQS needs. A batch needs the action of one message."""
    given, action = call.parameters, f"sqs:{call.operation.removesuffix('Batch')}"
    name = str(given.get("QueueUrl", "")).rstrip("/").rpartition("/")[2] or given.get("QueueName")
    if call.operation == "ListQueues":
        yield Permission(action, "*")
    else:
        yield Permission(action, arn("sqs", str(name)) if name else None)


def _ssm(call: Call) -> Iterator[Permission]:
    given = call.parameters
    names = given.get("Names") or [given.get("Name") or given.get("Path")]
    for name in names:
        # A name may be an ARN, and may have a version or a label behind a colon.
        known = str(name) if str(name).startswith("arn:") else _parameter(str(name)) if name else None
        yield Permission(f"ssm:{call.operation}", known or ("*" if call.operation == "DescribeParameters" else None))


def _parameter(name: str) -> str:
    return arn("ssm", f"parameter/{name.partition(':')[0].lstrip('/')}")


def _secretsmanager(call: Call) -> Iterator[Permission]:
    given = call.parameters
    if call.operation in ("ListSecrets", "GetRandomPassword", "BatchGetSecretValue"):
        yield Permission(f"secretsmanager:{call.operation}", "*")
        ids = given.get("SecretIdList") or ()
        yield from (Permission("secretsmanager:GetSecretValue", _secret(each)) for each in ids)
    else:
        secret = given.get("SecretId") or given.get("Name")
        yield Permission(f"secretsmanager:{call.operation}", _secret(secret) if secret else None)


def _secret(secret: Any) -> str:
    """Return the ARN of a secret. After the name it has a hyphen and six characters, which a name does not show.

    Nor does the ARN of a template's secret: it has other ones on AWS.
    """
    given, start = str(secret), arn("secretsmanager", "secret:")
    name = given.removeprefix(start)[: -len(ANY_SUFFIX)] if given.startswith(start) else given
    return given if given.startswith("arn:") and given != secret_arn(name) else f"{start}{name}{ANY_SUFFIX}"


def _events(call: Call) -> Iterator[Permission]:
    if call.operation != "PutEvents":
        yield from _other(call)
        return
    for entry in call.parameters.get("Entries") or ():
        bus = str(entry.get("EventBusName") or "default") if isinstance(entry, dict) else "default"
        yield Permission("events:PutEvents", bus if bus.startswith("arn:") else arn("events", f"event-bus/{bus}"))


_KEY = re.compile(rb"<Key>([^<]*)</Key>")
_OBJECT_OPERATIONS = {"GET": "GetObject", "HEAD": "GetObject", "PUT": "PutObject", "POST": "PutObject"}
_BUCKET_OPERATIONS = {"GET": "ListBucket", "HEAD": "ListBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket"}
_LISTINGS = {
    *("list-type", "prefix", "delimiter", "marker", "max-keys", "start-after", "continuation-token"),
    *("encoding-type", "fetch-owner"),
}
_SUBRESOURCES = {"tagging": "Tagging", "acl": "Acl"}


def s3_call(method: str, bucket: str, key: str, query: set[str]) -> Call | None:
    """Return the call of S3 that a method, a path and the names in a query make. None if it is not known.

    The operation is the one that the action is named after: HEAD of an object needs that of GET.
    """
    parameters = {"Bucket": bucket, "Key": key}
    if not bucket:
        return Call("s3", "ListAllMyBuckets", parameters)
    known = [_SUBRESOURCES[name] for name in query if name in _SUBRESOURCES]
    if key and known:
        verb = {"GET": "Get", "PUT": "Put", "DELETE": "Delete"}.get(method)
        return Call("s3", f"{verb}Object{known[0]}", parameters) if verb else None
    if key and method == "DELETE":
        return Call("s3", "AbortMultipartUpload" if "uploadId" in query else "DeleteObject", parameters)
    if key:
        is_listing = method == "GET" and "uploadId" in query
        operation = "ListMultipartUploadParts" if is_listing else _OBJECT_OPERATIONS.get(method)
        return Call("s3", operation, parameters) if operation else None
    if method == "POST" and "delete" in query:
        return Call("s3", "DeleteObject", {**parameters, "Key": "*"})
    return _bucket_call(method, parameters, query)


def with_more_objects(call: Call | None, copied: str, body: bytes) -> Call | None:
    """Return a call with the object that it copies, and with those that its body lists: S3 checks each of them.

    `copied` is the header that names the source of a copy, encoded as in a path.
    """
    if call is None or call.service != "s3":
        return call
    more: dict[str, Any] = {}
    if copied and call.operation == "PutObject":
        more["CopySource"] = unquote(copied).lstrip("/").partition("?")[0]
    if call.operation == "DeleteObject" and call.parameters["Key"] == "*":
        more["Keys"] = [unescape(key.decode(errors="replace")) for key in _KEY.findall(body)]
    return replace(call, parameters={**call.parameters, **more})


def _bucket_call(method: str, parameters: Mapping[str, str], query: set[str]) -> Call | None:
    is_plain = method in _BUCKET_OPERATIONS and not {name for name in query if not name.startswith("x-")} - _LISTINGS
    return Call("s3", _BUCKET_OPERATIONS[method], parameters) if is_plain else None


def _s3(call: Call) -> Iterator[Permission]:
    bucket, key = call.parameters.get("Bucket"), call.parameters.get("Key")
    if bucket:
        for each in call.parameters.get("Keys") or [key]:
            yield Permission(f"s3:{call.operation}", f"arn:aws:s3:::{bucket}" + (f"/{each}" if each else ""))
        if source := call.parameters.get("CopySource"):
            yield Permission("s3:GetObject", source if source.startswith("arn:") else f"arn:aws:s3:::{source}")
    elif call.operation == "ListAllMyBuckets":
        yield Permission("s3:ListAllMyBuckets", "*")
    else:
        yield from _other(call)


def _kms(call: Call) -> Iterator[Permission]:
    key = str(call.parameters.get("KeyId") or "")
    yield Permission(f"kms:{call.operation}", key_arn(key) if key else None)


def key_arn(key: str) -> str | None:
    """Return the ARN of a key by its id or ARN; None for an alias, which does not tell the key."""
    if "alias/" in key:
        return None
    return key if key.startswith("arn:") else arn("kms", f"key/{key}")


_PREFIXES = {"monitoring": "cloudwatch", "email": "ses"}
"""The prefix of actions, where it is not the name that a service's calls are signed for."""


def _other(call: Call) -> Iterator[Permission]:
    if call.service and call.operation:
        yield Permission(f"{_PREFIXES.get(call.service, call.service)}:{call.operation}", None)


_SERVICES: dict[str, Callable[[Call], Iterator[Permission]]] = {
    "dynamodb": _dynamodb,
    "lambda": _lambda,
    "execute-api": _connections,
    "sqs": _sqs,
    "ssm": _ssm,
    "secretsmanager": _secretsmanager,
    "events": _events,
    "s3": _s3,
    "kms": _kms,
}


ANY_SUFFIX = "-??????"
"""What stands for the characters that Secrets Manager adds to the name of a secret in its ARN."""

_DECRYPTING = ("GetParameter", "GetParameters", "GetParametersByPath", "GetParameterHistory", "GetSecretValue")


def _with_decryption(found: Iterator[Permission], call: Call, keys: Mapping[str, str | None]) -> Iterator[Permission]:
    """Add kms:Decrypt for what a customer's key encrypts. AWS's own keys need no permission of the caller's."""
    for each in found:
        yield each
        asked = call.service == "secretsmanager" or call.parameters.get("WithDecryption")
        if asked and call.operation in _DECRYPTING and each.resource and each.resource in keys:
            yield Permission("kms:Decrypt", keys[each.resource], via=call.service)


def keys_of_secrets(secrets: Iterable[Secret]) -> dict[str, str | None]:
    """Return the ARNs of the customer's keys that encrypt a template's secrets, by the ARNs of these."""
    encrypted = [each for each in secrets if each.key and not each.key.startswith("alias/aws/")]
    return {_secret(each.name): key_arn(each.key) for each in encrypted}


def encryption(call: Call) -> tuple[str, str | None] | None:
    """Return the ARN of a parameter or secret that a call stores, and of its key; None if no key of the customer's."""
    given = call.parameters
    key = str(given.get("KeyId") or given.get("KmsKeyId") or "")
    name = str(given.get("Name") or "")
    if not key or not name or key.startswith("alias/aws/"):
        return None
    match call.service, call.operation:
        case "ssm", "PutParameter":
            return _parameter(name), key_arn(key)
        case "secretsmanager", "CreateSecret":
            return _secret(name), key_arn(key)
    return None
