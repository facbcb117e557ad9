"""Requests of DynamoDB, generated from a seed, to compare engines by. The same seed gives the same requests.

A request has a kind: what it is about. A kind has several requests, with other values. Each engine gets the same
requests in the same order. What requests write is read by no others, so a difference at one does not lead to more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.support.compared_tables import ITEM, ROWS, Value, message, n, placed, s

REPEATS = 3


@dataclass(frozen=True)
class Request:
    """A request. `reads` is what is read after it: the parameters of a GetItem."""

    kind: str
    operation: str
    parameters: dict[str, Any]
    reads: dict[str, Any] | None = None


@dataclass
class Requests:
    """Makes the requests of all kinds from a seed."""

    random: Random
    made: list[Request] = field(default_factory=list)
    _ids: int = 0

    def all(self) -> list[Request]:
        """Return the requests of all kinds, in an order of the seed."""
        for make in _KINDS:
            for _ in range(REPEATS):
                make(self)
        return self.made

    def add(self, kind: str, operation: str, reads: dict[str, Any] | None = None, **parameters: Any) -> None:
        self.made.append(Request(kind, operation, parameters, reads))

    def id(self) -> str:
        self._ids += 1
        return f"own{self._ids}"

    def one(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def number(self) -> str:
        return self.one("0", "-3", "12", "4.5", "-0.25", "1000", str(self.random.randrange(10**12)))

    def word(self) -> str:
        return "".join(self.random.choice("abcäж界 ") for _ in range(self.random.randrange(1, 9)))

    def value(self) -> Value:
        """Return a value of any type."""
        make: Callable[[], Value] = self.one(
            lambda: s(self.word()),
            lambda: n(self.number()),
            lambda: {"BOOL": self.one(True, False)},
            lambda: {"NULL": True},
            lambda: {"B": self.one("AQ==", "aGVsbG8=")},
            lambda: {"L": [s(self.word()), n(self.number())]},
            lambda: {"M": {self.word(): n(self.number()), "k": s(self.word())}},
            lambda: {"SS": sorted({self.word(), "fixed"})},
            lambda: {"NS": ["1", "20"]},
        )
        return make()

    # What requests of several kinds are made with

    def scan(self, kind: str, expression: str, names: dict[str, str] | None = None, **values: Value) -> None:
        self.add(kind, "Scan", TableName="plain", FilterExpression=expression, **placed(names, values))

    def query(self, kind: str, condition: str, names: dict[str, str] | None = None, **more: Any) -> None:
        values = more.pop("values", {})
        table = more.pop("table", "chat")
        given = placed({"#a": "at", **(names or {})} if "#a" in condition else names, values)
        self.add(kind, "Query", TableName=table, KeyConditionExpression=condition, **given, **more)

    def get(self, kind: str, projection: str, names: dict[str, str] | None = None) -> None:
        key = {"TableName": "plain", "Key": {"id": s("full")}}
        self.add(kind, "GetItem", **key, ProjectionExpression=projection, **placed(names, {}))

    def put(self, kind: str, item: dict[str, Any], **more: Any) -> None:
        key = {"id": s(self.id())}
        reads = {"TableName": "written", "Key": key}
        self.add(kind, "PutItem", reads, TableName="written", Item={**key, **item}, **more)

    def update(self, kind: str, expression: str | None, names: dict[str, str] | None = None, **values: Value) -> None:
        """Put an item of its own, then update it."""
        key = {"id": s(self.id())}
        reads = {"TableName": "written", "Key": key}
        self.add(kind, "PutItem", TableName="written", Item={**key, **ITEM})
        given = {"UpdateExpression": expression} if expression is not None else {}
        self.add(kind, "UpdateItem", reads, TableName="written", Key=key, **given, **placed(names, values))


_KINDS: list[Callable[[Requests], None]] = []


def _kind(make: Callable[[Requests], None]) -> Callable[[Requests], None]:
    _KINDS.append(make)
    return make


def generated(seed: int) -> list[Request]:
    """Return the requests of a seed."""
    return Requests(Random(seed)).all()


@_kind
def _puts(r: Requests) -> None:
    r.put("put: values of all types", {r.word(): r.value() for _ in range(4)})
    r.put("put: a number", {"n": n(r.number())})
    r.put("put: a number with zeros at its end", {"n": n(r.one("1.50", "10.0", "100", "0.10", "-2.00"))})
    r.put("put: a number with zeros before it", {"n": n(r.one("007", "-01", "00.5"))})
    r.put("put: a number with an exponent", {"n": n(r.one("1e3", "2.5E-3", "1E+20", "12e0"))})
    r.put("put: a number that is none", {"n": n(r.one("x", "", "1,5", "NaN", "Infinity", " 1"))})
    r.put("put: 38 digits", {"n": n(r.one("1" * 38, "0." + "7" * 38, "-" + "9" * 38))})
    r.put("put: 39 digits", {"n": n(r.one("1" * 39, "1." + "7" * 38, "-" + "9" * 39))})
    r.put("put: a number out of range", {"n": n(r.one("1e126", "-1e126", "1e-131"))})
    r.put("put: an empty text", {"t": s("")})
    r.put("put: an empty set", {"t": {r.one("SS", "NS"): []}})
    r.put("put: an empty list or map", {"t": r.one({"L": []}, {"M": {}})})
    r.put("put: an element of a set twice", {"t": r.one({"SS": ["x", "x"]}, {"NS": ["1", "1"]})})
    r.put("put: a number in a set twice, in two spellings", {"t": {"NS": r.one(["1", "1.0"], ["10", "1e1"])}})
    r.put("put: an attribute of two types", {"t": {"S": "x", "N": "1"}})
    r.put("put: an attribute of no type", {"t": {}})
    r.put("put: an attribute of an unknown type", {"t": {"X": "x"}})
    r.put("put: NULL that is false", {"t": {"NULL": False}})
    r.put("put: an attribute without a name", {"": s("x")})
    deep: Value = s("x")
    for _ in range(r.one(32, 40)):
        deep = {"L": [deep]}
    r.put("put: too many levels", {"t": deep})
    r.put("put: more than 400 KB", {"t": s("x" * (410_000 + r.random.randrange(9)))})


@_kind
def _keys(r: Requests) -> None:
    key = r.id()
    r.add("key: of another type", "PutItem", TableName="written", Item={"id": n(r.number())})
    r.add("key: missing in an item", "PutItem", TableName="written", Item={r.one("x", "ID"): s(key)})
    r.add("key: empty", "PutItem", TableName="written", Item={"id": s("")})
    r.add("key: too long", "PutItem", TableName="written", Item={"id": s("x" * (2049 + r.random.randrange(9)))})
    r.add(
        "key: a sort key that is too long", "PutItem", TableName="indexed", Item={"chat": s(key), "at": s("x" * 1025)}
    )
    r.add("key: incomplete", "GetItem", TableName="chat", Key={"chat": s("c")})
    r.add("key: with another attribute", "GetItem", TableName="plain", Key={"id": s("full"), "x": s("x")})
    r.add("key: of another type, to get", "GetItem", TableName="plain", Key={"id": n(1)})
    r.add("key: of an index, of another type", "PutItem", TableName="indexed", Item=message(key, "1") | {"user": n(1)})
    r.add("key: of an index, empty", "PutItem", TableName="indexed", Item=message(key, "1") | {"user": s("")})
    r.add("key: no table", "GetItem", TableName=r.one("nothing", "Plain"), Key={"id": s("x")})
    r.add("key: a name of a table that is none", "GetItem", TableName=r.one("x", "a b"), Key={"id": s("x")})
    spelled = r.one("20", "20.0", "2e1", "020")
    r.add(
        "key: a number in another spelling", "GetItem", TableName="counted", Key={"group": s("g"), "number": n(spelled)}
    )


@_kind
def _conditions(r: Requests) -> None:
    names, values = {"#x": "n"}, {"v": n(r.number())}
    r.put("condition: that holds", {}, ConditionExpression="attribute_not_exists(id)")
    r.put("condition: that fails", {}, ConditionExpression=r.one("attribute_exists(id)", "id = n", "size(n) = n"))
    r.put("condition: empty", {}, ConditionExpression="")
    r.put("condition: an unknown function", {}, ConditionExpression=r.one("exists(id)", "Attribute_exists(id)"))
    r.put("condition: not whole", {}, ConditionExpression=r.one("id =", "(id = id", "attribute_exists(", "NOT"))
    r.put(
        "condition: a reserved word", {}, ConditionExpression=f"attribute_not_exists({r.one('name', 'data', 'Status')})"
    )
    r.put("condition: a name that is not defined", {}, ConditionExpression="attribute_not_exists(#x)")
    r.put("condition: a name that is not used", {}, ConditionExpression="attribute_not_exists(id)", **placed(names, {}))
    r.put("condition: a value that is not defined", {}, ConditionExpression="n = :v")
    used = "attribute_not_exists(id)"
    r.put("condition: a value that is not used", {}, ConditionExpression=used, **placed(None, values))
    r.put("condition: names without an expression", {}, **placed(names, {}))
    returned = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    item = {"id": s("full")}
    refused = "attribute_not_exists(id)"
    r.add(
        "condition: that fails, with the item",
        "PutItem",
        TableName="plain",
        Item=item,
        ConditionExpression=refused,
        **returned,
    )
    r.add(
        "condition: a delete of nothing",
        "DeleteItem",
        TableName="written",
        Key={"id": s(r.id())},
        ReturnValues="ALL_OLD",
    )


@_kind
def _filters(r: Requests) -> None:
    compared = r.one("=", "<>", "<", "<=", ">", ">=")
    r.scan(f"filter: n {compared} a number", f"n {compared} :v", v=n(r.random.randrange(6)))
    r.scan(f"filter: n {compared} a text", f"n {compared} :v", v=s("1"))
    r.scan(
        "filter: size of what some lack", f"size({r.one('tags', 'words', 'm', 'b')}) {r.one('>', '<', '<>')} :v", v=n(1)
    )
    r.scan("filter: size of a number", "size(n) > :v", v=n(0))
    r.scan("filter: begins_with on a text", "begins_with(#t, :v)", {"#t": "text"}, v=s(r.one("t", "a", "")))
    r.scan("filter: begins_with on binary", "begins_with(b, :v)", v={"B": "AQ=="})
    r.scan("filter: begins_with with a number", "begins_with(n, :v)", v=n(1))
    r.scan("filter: contains in a text", "contains(#t, :v)", {"#t": "text"}, v=s(r.one("ex", "a")))
    r.scan("filter: contains in a list", "contains(tags, :v)", v=s(r.one("x", "none")))
    r.scan("filter: contains in a set", "contains(words, :v)", v=s(r.one("a", "none")))
    r.scan("filter: contains in a set, of another type", "contains(words, :v)", v=n(1))
    r.scan("filter: BETWEEN", "n BETWEEN :a AND :b", a=n(1), b=n(r.one(2, 5)))
    r.scan("filter: BETWEEN the wrong way round", "n BETWEEN :a AND :b", a=n(9), b=n(1))
    r.scan("filter: BETWEEN two types", "n BETWEEN :a AND :b", a=n(1), b=s("2"))
    r.scan("filter: IN", "n IN (:a, :b)", a=n(1), b=r.one(n(5), s("a")))
    r.scan("filter: attribute_type", "attribute_type(n, :v)", v=s(r.one("N", "S", "L")))
    r.scan("filter: attribute_type that is none", "attribute_type(n, :v)", v=s("X"))
    r.scan(
        "filter: NOT, AND, OR",
        r.one("NOT n = :v OR attribute_exists(b) AND price > n", "(n < :v OR NOT attribute_exists(b)) AND n <> :v"),
        v=n(2),
    )
    r.scan("filter: a path into a map", "m.k[1] = :v", v=n(2))
    r.scan("filter: two attributes", r.one("price < n", "n < price", "yes = nothing"))
    r.scan("filter: an attribute compared with itself", r.one("n = n", "price <= price") + " AND n <> :v", v=n(9))
    r.scan("filter: equal numbers in two spellings", "price = :v", v=n(r.one("1.5", "1.50", "15e-1")))
    r.scan("filter: equal sets in another order", "words = :v", v={"SS": ["c", "a", "b"]})
    r.scan("filter: not a condition", r.one("n", ":v", "size(n)"), v=n(1))


@_kind
def _projections(r: Requests) -> None:
    r.get("projection: attributes", r.one("n, price", "tags", "m, yes, nothing"))
    r.get("projection: an element of a list", f"tags[{r.one(0, 1, 2)}]")
    r.get("projection: elements of a list", r.one("tags[0], tags[2]", "tags[2], tags[0]"))
    r.get("projection: an element that there is not", "tags[9]")
    r.get("projection: below a name", "#m.#k[1]", {"#m": "m", "#k": "k"})
    r.get("projection: two paths into a map", "m.k[0], m.#n", {"#n": "name"})
    r.get("projection: overlapping paths", r.one("m, m.k", "tags, tags[0]", "n, n"))
    r.get("projection: empty", "")
    r.get("projection: a reserved word", r.one("name", "count, n"))
    r.get("projection: what there is not", "absent.below, absent")
    got = {
        "Get": {
            "TableName": "plain",
            "Key": {"id": s("full")},
            "ProjectionExpression": r.one("n", "price, n", "m.k[1]"),
        }
    }
    r.add("projection: in TransactGetItems", "TransactGetItems", TransactItems=[got])
    keys = {"Keys": [{"id": s("full")}], "ProjectionExpression": "n"}
    r.add("projection: in BatchGetItem", "BatchGetItem", RequestItems={"plain": keys})


@_kind
def _updates(r: Requests) -> None:
    value = r.value()
    r.update("update: SET", "SET fresh = :v", v=value)
    r.update("update: SET with a sum", f"SET n = n {r.one('+', '-')} :v", v=n(r.one("0.1", "7", "-2")))
    r.update("update: SET with a sum of what is no number", r.one("SET yes = yes + :v", "SET n = absent + :v"), v=n(1))
    r.update("update: if_not_exists", "SET n = if_not_exists(n, :v), o = if_not_exists(o, :v)", v=n(3))
    r.update(
        "update: list_append",
        r.one("SET tags = list_append(tags, :v)", "SET tags = list_append(:v, tags)"),
        v={"L": [n(1)]},
    )
    r.update("update: list_append to what is no list", "SET n = list_append(n, :v)", v={"L": [n(1)]})
    r.update("update: an element", f"SET tags[{r.one(0, 2, 3)}] = :v", v=n(1))
    r.update("update: an element beyond the end", f"SET tags[{r.one(4, 9)}] = :v", v=n(1))
    r.update("update: below what there is not", "SET absent.below = :v", v=n(1))
    r.update("update: two elements", "SET tags[0] = :v REMOVE tags[1]", v=n(1))
    r.update("update: REMOVE", r.one("REMOVE n, tags", "REMOVE absent", "REMOVE m.k", "REMOVE tags[1]"))
    r.update(
        "update: REMOVE elements",
        r.one("REMOVE tags[0], tags[2]", "REMOVE tags[0], n, tags[1]", "REMOVE m.k[0], m.k[1]"),
    )
    r.update("update: ADD to a number", r.one("ADD n :v", "ADD fresh :v"), v=n(r.number()))
    r.update("update: ADD to a set", "ADD words :v", v={"SS": ["b", "z"]})
    r.update("update: ADD of another type", r.one("ADD words :v", "ADD yes :v"), v=n(1))
    r.update("update: DELETE from a set", "DELETE words :v", v={"SS": r.one(["a"], ["a", "b", "c"], ["none"])})
    r.update("update: no expression", None)
    r.update("update: empty", "")
    r.update("update: a name that is not defined", "SET #x = :v", v=n(1))
    r.update("update: a value that is not defined", "SET x = :w")
    r.update("update: a value that is not used", "REMOVE n", v=n(1))
    r.update("update: a clause twice", "SET a = :v SET c = :v", v=n(1))
    r.update(
        "update: one attribute twice",
        r.one("SET a = :v, a = :v", "SET n = :v REMOVE n", "SET m = :v, m.k = :v"),
        v=n(1),
    )
    r.update("update: the key", "SET id = :v", v=s("other"))
    r.update("update: in the order of clauses", "REMOVE n SET other = n, c = :v ADD price :v", v=n(1))
    key = {"TableName": "written", "Key": {"id": s(r.id())}}
    for returned in ("ALL_NEW", "UPDATED_NEW", "ALL_OLD", "UPDATED_OLD"):
        r.add(
            f"update: {returned}",
            "UpdateItem",
            **key,
            ReturnValues=returned,
            UpdateExpression="SET a = :v, c = :v",
            ExpressionAttributeValues={":v": n(r.number())},
        )


@_kind
def _queries(r: Requests) -> None:
    c, at = {"c": s("c")}, n(r.random.randrange(40))
    r.query("query: a partition", "chat = :c", values=c, ScanIndexForward=r.one(True, False))
    r.query("query: a page", "chat = :c", values=c, Limit=r.one(1, 2, 3, ROWS))
    r.query("query: an empty partition", "chat = :c", values={"c": s("none")}, Limit=r.one(1, 5))
    r.query("query: from a key on", "chat = :c", values=c, ExclusiveStartKey=message("c", r.one("0", "1", "15")))
    r.query("query: from a key of another partition on", "chat = :c", values=c, ExclusiveStartKey=message("d", "1"))
    r.query("query: begins_with", "chat = :c AND begins_with(#a, :a)", values=c | {"a": s(r.one("1", "9"))})
    r.query(
        "query: a condition on the sort key",
        f"chat = :c AND #a {r.one('=', '<', '>', '<=', '>=')} :a",
        values=c | {"a": s("2")},
    )
    r.query("query: BETWEEN", "chat = :c AND #a BETWEEN :a AND :b", values=c | {"a": s("1"), "b": s("2")})
    r.query(
        "query: BETWEEN the wrong way round",
        "chat = :c AND #a BETWEEN :b AND :a",
        values=c | {"a": s("1"), "b": s("2")},
    )
    r.query(
        "query: numbers",
        "#g = :c AND #n >= :n",
        {"#g": "group", "#n": "number"},
        table="counted",
        values={"c": s("g"), "n": at},
    )
    r.query("query: IN on the sort key", "chat = :c AND #a IN (:a)", values=c | {"a": s("1")})
    r.query("query: <> on the sort key", "chat = :c AND #a <> :a", values=c | {"a": s("1")})
    r.query(
        "query: two conditions on the sort key",
        "chat = :c AND #a > :a AND #a < :b",
        values=c | {"a": s("0"), "b": s("9")},
    )
    r.query("query: OR", "chat = :c OR #a = :a", values=c | {"a": s("1")})
    r.query("query: no partition", "#a = :a", values={"a": s("1")})
    r.query("query: not equal partitions", "chat > :c", values=c)
    r.query("query: another attribute", "chat = :c AND t = :t", values=c | {"t": s("t")})
    r.query("query: a value that is not used", "chat = :c", values=c | {"z": s("1")})
    r.query("query: a key of another type", "chat = :c", values={"c": n(1)})
    r.query("query: a sort key of another type", "chat = :c AND #a > :a", values=c | {"a": n(1)})
    r.query("query: COUNT", "chat = :c", values=c, Select="COUNT")
    r.query(
        "query: a filter",
        "chat = :c",
        values=c | {"t": s(r.one("t", "other"))},
        FilterExpression="t = :t",
        Limit=r.one(2, 9),
    )
    r.query(
        "query: a filter on the key", "chat = :c", {"#a": "at"}, values=c | {"a": s("1")}, FilterExpression="#a = :a"
    )
    r.query("query: a limit of 0", "chat = :c", values=c, Limit=0)
    r.query("query: empty", "", values=c)


@_kind
def _indexes(r: Requests) -> None:
    u = {"u": s("u")}
    names = {"#u": "user"}
    by_user, by_title = {"IndexName": "by-user"}, {"IndexName": "by-title"}
    r.query("index: a query", "#u = :u", names, values=u, **by_title, ScanIndexForward=r.one(True, False))
    r.query("index: a page", "#u = :u", names, values=u, **by_title, Limit=r.one(1, 2))
    r.query("index: consistent", "#u = :u", names, values=u, **by_user, ConsistentRead=True)
    r.query("index: that there is not", "#u = :u", names, values=u, IndexName="by-none")
    r.query(
        "index: a filter by what it lacks",
        "#u = :u",
        names,
        values=u | {"t": s("t")},
        **by_user,
        FilterExpression="t = :t",
    )
    r.query("index: a projection of what it lacks", "#u = :u", names, values=u, **by_user, ProjectionExpression="t")
    r.query(
        "index: a filter by what it holds",
        "#u = :u",
        names,
        values=u | {"t": s("t")},
        **by_title,
        FilterExpression="t = :t",
    )
    r.query("index: all attributes", "#u = :u", names, values=u, **by_user, Select="ALL_ATTRIBUTES")
    r.query("index: the key of the table", "chat = :c", values={"c": s("c")}, **by_user)
    r.add("index: a scan", "Scan", TableName="chat", **by_title)


@_kind
def _batches(r: Requests) -> None:
    chat = r.id()
    puts = [{"PutRequest": {"Item": message(chat, f"{at:02}")}} for at in range(26)]
    delete = {"DeleteRequest": {"Key": message(chat, "01")}}
    r.add("batch: writes", "BatchWriteItem", RequestItems={"sent": puts[: r.one(1, 25)]})
    r.add("batch: 26 writes", "BatchWriteItem", RequestItems={"sent": puts})
    r.add("batch: an item twice", "BatchWriteItem", RequestItems={"sent": [puts[1], r.one(puts[1], delete)]})
    r.add("batch: empty", "BatchWriteItem", RequestItems=r.one({}, {"sent": []}))
    r.add("batch: no table", "BatchWriteItem", RequestItems={"nothing": puts[:1]})
    r.add(
        "batch: reads",
        "BatchGetItem",
        RequestItems={"plain": {"Keys": [{"id": s(r.one("row1", "none"))}, {"id": s("full")}]}},
    )
    r.add("batch: a key twice", "BatchGetItem", RequestItems={"plain": {"Keys": [{"id": s("full")}] * 2}})
    many = [{"id": s(f"row{each}")} for each in range(101)]
    r.add("batch: 101 reads", "BatchGetItem", RequestItems={"plain": {"Keys": many}})


@_kind
def _transactions(r: Requests) -> None:
    key = {"TableName": "written", "Key": {"id": s(r.id())}}
    put = {"Put": {"TableName": "written", "Item": {**key["Key"], "n": n(r.number())}}}
    other = {"Put": {"TableName": "written", "Item": {"id": s(r.id())}}}
    exists = {"ConditionExpression": "attribute_exists(id)"}
    add = {"UpdateExpression": "ADD n :v", "ExpressionAttributeValues": {":v": n(1)}}
    write = "TransactWriteItems"
    r.add("transaction: puts", write, key, TransactItems=[put, other])
    r.add("transaction: an update", write, key, TransactItems=[{"Update": {**key, **add}}])
    r.add("transaction: a check that holds", write, key, TransactItems=[{"ConditionCheck": {**key, **exists}}, other])
    failing = {"ConditionCheck": {"TableName": "written", "Key": {"id": s("none")}, **exists}}
    r.add("transaction: a check that fails", write, key, TransactItems=[other, failing])
    r.add(
        "transaction: an item twice",
        write,
        key,
        TransactItems=[put, r.one(put, {"Delete": key}, {"Update": {**key, **add}})],
    )
    r.add("transaction: empty", write, TransactItems=[])
    r.add(
        "transaction: 101 writes",
        write,
        TransactItems=[{"Put": {"TableName": "written", "Item": {"id": s(f"t{i}")}}} for i in range(101)],
    )
    r.add("transaction: two actions in one", write, TransactItems=[{**put, "Delete": key}])
    wrong = {"Put": {"TableName": "written", "Item": {"id": n(1)}}}
    r.add("transaction: a key of another type", write, TransactItems=[other, wrong])
    r.add(
        "transaction: a sum of what is no number",
        write,
        TransactItems=[
            {
                "Update": {
                    "TableName": "written",
                    "Key": {"id": s("full")},
                    "UpdateExpression": "SET yes = yes + :v",
                    "ExpressionAttributeValues": {":v": n(1)},
                }
            }
        ],
    )
    r.add("transaction: no table", write, TransactItems=[{"Put": {"TableName": "nothing", "Item": {"id": s("x")}}}])
    r.add(
        "transaction: reads",
        "TransactGetItems",
        TransactItems=[{"Get": {"TableName": "plain", "Key": {"id": s(each)}}} for each in ("full", "none")],
    )


@_kind
def _scans(r: Requests) -> None:
    r.add("scan: a table", "Scan", TableName="counted")
    r.add("scan: COUNT", "Scan", TableName="counted", Select="COUNT")
    r.add("scan: a limit", "Scan", TableName="counted", Limit=r.one(1, 2, ROWS))
    r.add("scan: a segment that there is not", "Scan", TableName="counted", Segment=r.one(2, 5), TotalSegments=2)
    r.add("scan: a segment without a total", "Scan", TableName="counted", Segment=0)


@_kind
def _partiql(r: Requests) -> None:
    r.add(
        "partiql: a select",
        "ExecuteStatement",
        Statement="SELECT * FROM plain WHERE id = ?",
        Parameters=[s(r.one("full", "none"))],
    )
    r.add("partiql: an insert", "ExecuteStatement", Statement=f"INSERT INTO written VALUE {{'id': '{r.id()}', 'n': 1}}")
    r.add("partiql: what is none", "ExecuteStatement", Statement="SELECT FROM")
