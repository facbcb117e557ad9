import assert from "node:assert/strict";
import { test } from "node:test";
import { amount, bytes, duration, money, parsed, price, span } from "../console/format.ts";
import { hasFailed } from "../console/model/events.ts";
import { isOfConnections, plain, plainItem, secondsLeft, usersOf } from "../console/model/items.ts";
import { lineOf, messageName } from "../console/model/summary.ts";
import type { Items, Table } from "../console/model/types.ts";
import { hrefOf, parseRoute, VIEWS } from "../console/route.ts";

const TABLE: Table = { name: "Connections", partitionKey: "connectionId", sortKey: null, ttlAttribute: "expiresAt", items: 2 };

test("an address of a view comes back as it was", () => {
  for (const view of VIEWS) {
    const parameters = { q: "a&b=c #1 Привет", turn: "12" };
    assert.deepEqual(parseRoute(hrefOf(view, parameters)), { view, parameters });
  }
  assert.equal(hrefOf("tables", { name: "", key: "" }), "#/tables");
});

test("an address that there is not leads to the timeline", () => {
  for (const hash of ["", "#", "#/", "#main", "#/nothing?x=1"]) {
    assert.equal(parseRoute(hash).view, "timeline");
  }
});

test("items are plain values, and no number loses digits", () => {
  const item = {
    s: { S: "text" }, n: { N: "1.5" }, big: { N: "12345678901234567890" }, yes: { BOOL: true }, none: { NULL: true }, b: { B: "AAE=" },
    l: { L: [{ N: "1" }, { S: "x" }] }, m: { M: { in: { N: "2" } } }, ns: { NS: ["1", "2"] }, ss: { SS: ["a"] },
  };
  assert.deepEqual(plainItem(item), {
    s: "text", n: 1.5, big: "12345678901234567890", yes: true, none: null, b: "AAE=", l: [1, "x"], m: { in: 2 }, ns: [1, 2], ss: ["a"],
  });
  assert.equal(plain({}), null);
});

test("the time to live is the seconds that are left", () => {
  assert.equal(secondsLeft({ expiresAt: { N: "100" } }, TABLE, 40), 60);
  assert.equal(secondsLeft({ expiresAt: { N: "100" } }, TABLE, 140), -40);
  assert.equal(secondsLeft({}, TABLE, 40), null);
  assert.equal(secondsLeft({ expiresAt: { N: "100" } }, { ...TABLE, ttlAttribute: null }, 40), null);
});

test("users of connections come from a table of connections", () => {
  const page: Items = {
    ...TABLE,
    next: null,
    found: [
      { connectionId: { S: "a=" }, userId: { S: "alice" } },
      { connectionId: { S: "b=" }, owner: { S: "bob" }, userAgent: { S: "x" } },
      { connectionId: { S: "c=" }, userAgent: { S: "x" } },
    ],
  };
  assert.deepEqual([...usersOf(page)], [["a=", "alice"], ["b=", "bob"]]);
  assert.deepEqual([TABLE, { ...TABLE, partitionKey: "chatId" }, { ...TABLE, sortKey: "at" }].map(isOfConnections), [true, false, false]);
});

test("the name of a message is in its JSON, also if only the beginning is there", () => {
  assert.equal(messageName('{"data": {}, "type": "message"}'), "message");
  assert.equal(messageName('{"action":"send","text":"a text that is c'), "send");
  for (const text of [undefined, "", "hello", "[1]", "null", '{"text": "no name', '{"type": 1}']) {
    assert.equal(messageName(text), undefined);
  }
});

test("a line of a log in JSON is its message", () => {
  assert.equal(lineOf('{"level":"ERROR","message":"refused","x":1}'), "ERROR refused");
  assert.equal(lineOf('{"message":{"a":1}}'), '{"message":{"a":1}}');
  assert.equal(lineOf("plain <b>text</b>"), "plain <b>text</b>");
});

test("what went wrong is what the emulator's own filter takes", () => {
  const event = { number: 1, at: 1 };
  const failures = [
    { kind: "refuse" }, { kind: "dead_letter" }, { kind: "end", error: "Unhandled" }, { kind: "post", status: 410 },
    { kind: "log", line: '{"level": "ERROR"}' }, { kind: "log", line: "Traceback (most recent call last):" },
  ];
  const others = [{ kind: "open" }, { kind: "end", error: null }, { kind: "post", status: 200 }, { kind: "log", line: "no ERRORS here" }];
  assert.ok(failures.every((each) => hasFailed({ ...event, ...each })));
  assert.ok(others.every((each) => !hasFailed({ ...event, ...each })));
});

test("times, sizes and dollars are short", () => {
  assert.deepEqual([0.0004, 0.0123, 0.9996, 2.5, 61].map(duration), ["0.4 ms", "12 ms", "1000 ms", "2.50 s", "1:01"]);
  assert.deepEqual([0, 9.9, 600, 7199, -5, 200_000].map(span), ["0:00", "0:09", "10:00", "1:59:59", "−0:05", "2 d"]);
  assert.deepEqual([5, 2048, 3 << 20].map(bytes), ["5 B", "2.0 KB", "3.0 MB"]);
  assert.deepEqual([0, 1e-9, 0.0000125, 0.0123456, 12].map(money), ["$0", "< $0.000001", "$0.000013", "$0.012", "$12.00"]);
  assert.deepEqual([1, 0.125, 16.6667].map(price), ["$1.00", "$0.125", "$16.6667"]);
  assert.deepEqual([0.5, 1234.56].map(amount), ["0.5", "1,234.6"]);
});

test("only JSON in a text is taken for JSON", () => {
  assert.deepEqual(parsed(' {"a": 1}'), { a: 1 });
  for (const text of ["12", "hello", "{broken", '"text"', undefined, 5]) {
    assert.equal(parsed(text), undefined);
  }
});
