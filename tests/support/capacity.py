"""Counts the read and write units of a process's own DynamoDB requests: what AWS would charge for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from parley.dynamodb.capacity import Item, charged, read_units, size

from tests.support.dynamodb import TABLES

READS = ("GetItem", "Query", "Scan")
WRITES = ("PutItem", "UpdateItem", "DeleteItem")
TRANSACTION = "TransactWriteItems"
_TABLES = {table.name: table for table in TABLES}


@dataclass(frozen=True)
class Charge:
    """Units that one request has cost. `what` is a table, or an index of it: `ChatsTable/byUpdatedAt`."""

    operation: str
    what: str
    units: float


@dataclass
class Capacity:
    """The units charged since the beginning, or since `clear`."""

    charges: list[Charge] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Operations whose condition failed: they cost units too, but DynamoDB does not say how many."""

    @property
    def reads(self) -> Counter[str]:
        """Read units by operation."""
        return self._by_operation(lambda charge: charge.operation in READS)

    @property
    def writes(self) -> Counter[str]:
        """Write units by operation, indexes included."""
        return self._by_operation(lambda charge: charge.operation not in READS)

    @property
    def read_units(self) -> float:
        return sum(self.reads.values())

    @property
    def write_units(self) -> float:
        return sum(self.writes.values())

    def clear(self) -> None:
        """Begin anew."""
        self.charges.clear()
        self.refused.clear()

    def _by_operation(self, counts: Callable[[Charge], bool]) -> Counter[str]:
        units: Counter[str] = Counter()
        for charge in filter(counts, self.charges):
            units[charge.operation] += charge.units
        return units


@contextmanager
def metered(client: Any, observer: Any) -> Iterator[Capacity]:
    """Count what goes through a botocore client of DynamoDB. `observer` is another one, whose requests do not count.

    The figures are the engine's own, except for transactions: theirs come from the items before and after, so nobody
    else may write these items meanwhile. Operations that are not known here are refused.
    """
    capacity = Capacity()
    asked, answered = partial(_ask, observer), partial(_count, capacity, observer)
    events = client.meta.events
    events.register("provide-client-params.dynamodb.*", asked)
    events.register("after-call.dynamodb.*", answered)
    try:
        yield capacity
    finally:
        events.unregister("provide-client-params.dynamodb.*", asked)
        events.unregister("after-call.dynamodb.*", answered)


def _ask(observer: Any, params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
    if "ReturnConsumedCapacity" not in model.input_shape.members:
        return
    assert model.name in (*READS, *WRITES, TRANSACTION), f"{model.name} is not metered yet"
    params["ReturnConsumedCapacity"] = "INDEXES"
    if model.name == TRANSACTION:
        context["transaction"] = params
        context["before"] = _images(observer, params)


def _count(
    capacity: Capacity, observer: Any, parsed: Mapping[str, Any], model: Any, context: Mapping[str, Any], **_: Any
) -> None:
    if "Error" in parsed:
        capacity.refused.append(model.name)
    elif model.name == TRANSACTION:
        after = _images(observer, context["transaction"])
        for (table, old), (_table, new) in zip(context["before"], after, strict=True):
            units = charged(_TABLES[table], old, new, transaction=True)
            capacity.charges += [Charge(model.name, what, count) for what, count in units.items()]
    elif "ConsumedCapacity" in parsed:
        capacity.charges += _charges(model.name, parsed["ConsumedCapacity"])


@contextmanager
def metered_reads(client: Any, observer: Any) -> Iterator[Capacity]:
    """Count the read units of what goes through a client whose engine does not: by DynamoDB's rules, from the items."""
    capacity = Capacity()

    def ask(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["read"] = params

    def count(parsed: Mapping[str, Any], model: Any, context: Mapping[str, Any], **_: Any) -> None:
        if model.name not in READS or "Error" in parsed:
            return
        request = context["read"]
        items = parsed.get("Items") or [item for item in [parsed.get("Item")] if item]
        if "ProjectionExpression" in request:  # what is not returned is read as well
            keys = [request["Key"]] if "Key" in request else items
            items = [_image(observer, {"TableName": request["TableName"], "Key": key})[1] for key in keys]
        units = read_units(sum(map(size, items)), consistent=bool(request.get("ConsistentRead")))
        capacity.charges.append(Charge(model.name, request["TableName"], units))

    client.meta.events.register("provide-client-params.dynamodb.*", ask)
    client.meta.events.register("after-call.dynamodb.*", count)
    try:
        yield capacity
    finally:
        client.meta.events.unregister("provide-client-params.dynamodb.*", ask)
        client.meta.events.unregister("after-call.dynamodb.*", count)


def _charges(operation: str, consumed: Mapping[str, Any]) -> Iterator[Charge]:
    table = consumed["TableName"]
    yield Charge(operation, table, consumed["Table"]["CapacityUnits"])
    for index, of_index in consumed.get("GlobalSecondaryIndexes", {}).items():
        yield Charge(operation, f"{table}/{index}", of_index["CapacityUnits"])


def _images(observer: Any, params: Mapping[str, Any]) -> list[tuple[str, Item]]:
    """The items that a transaction names, each with its table, as they are now."""
    return [_image(observer, part) for item in params["TransactItems"] for part in item.values()]


def _image(observer: Any, part: Mapping[str, Any]) -> tuple[str, Item]:
    table = part["TableName"]
    keys = [key["AttributeName"] for key in _TABLES[table].definition["KeySchema"]]
    key = {name: (part.get("Key") or part["Item"])[name] for name in keys}
    return table, observer.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item", {})
