import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { TraceEvent } from "../console/model/events.ts";
import { dollars, functionsOf, sums, title } from "../console/model/summary.ts";
import { TurnLog, turnsOf, type Turn } from "../console/model/turns.ts";
import { bar, beginning, waterfall, type Row } from "../console/model/waterfall.ts";
import type { Cost } from "../console/model/types.ts";

// Tests run in the folder of the workspace: what is compiled stands elsewhere.
const recorded = JSON.parse(await readFile(join("test", "traces", "conversation.json"), "utf8")) as TraceEvent[];

const CONNECTION = "aliceaaaaaaaaaa=";
let count = 0;

/** An event of a made-up trace. Each one is a millisecond after the one before. */
function event(kind: string, fields: Partial<TraceEvent> = {}): TraceEvent {
  count += 1;
  return { number: count, at: 1000 + count / 1000, kind, ...fields };
}

const frame = (bytes = 10) => event("frame_in", { connection_id: CONNECTION, bytes });
const start = (request: string, fields: Partial<TraceEvent> = {}) =>
  event("start", { request_id: request, function: "Chat", caller: "gateway", cold: false, connection_id: CONNECTION, ...fields });
const end = (request: string, fields: Partial<TraceEvent> = {}) => event("end", { request_id: request, function: "Chat", milliseconds: 1, error: null, ...fields });
const routed = (request: string, route = "$default") => event("route", { request_id: request, route, function: "Chat", connection_id: CONNECTION, milliseconds: 1 });
const call = (request: string, fields: Partial<TraceEvent> = {}) =>
  event("call", { request_id: request, service: "dynamodb", operation: "GetItem", caller: "Chat", status: 200, milliseconds: 1, ...fields });
const sent = (bytes = 5) => event("frame_out", { connection_id: CONNECTION, bytes });
const post = (request: string, status = 200, bytes = 5) =>
  event("post", { request_id: request, function: "Chat", connection_id: CONNECTION, method: "POST", status, bytes });

const kinds = (turn: Turn | undefined) => turn?.events.map((each) => each.kind);
const names = (rows: Row[]) => rows.map((row) => `${"  ".repeat(row.depth)}${row.kind}${row.kind === "call" ? ` ${row.event.operation}` : ""}`);

test("a recorded conversation is a handshake, three frames and an end, with nothing left over", () => {
  const turns = turnsOf(recorded);
  assert.deepEqual(
    turns.map((turn) => [turn.cause, title(turn), functionsOf(turn).join(" ")]),
    [
      ["connect", "$connect", "ConnectFunction DeliverFunction"],
      ["frame", "create_chat", "DefaultFunction"],
      ["frame", "message", "DefaultFunction GenerateFunction"],
      ["frame", "message", "DefaultFunction GenerateFunction"],
      ["disconnect", "$disconnect", "DisconnectFunction"],
    ],
  );
  assert.equal(turns.reduce((sum, turn) => sum + turn.events.length, 0), recorded.length);
});

test("events that come one at a time give the same turns", () => {
  const log = new TurnLog();
  recorded.forEach((each) => log.add([each]));
  log.add([]);
  const shown = (turns: Turn[]) => turns.map((turn) => [turn.id, turn.cause, turn.invocations.length, [...turn.events].map((each) => each.number).sort((a, b) => a - b)]);
  assert.deepEqual(shown(log.turns), shown(turnsOf(recorded)));
  for (const turn of log.turns) {
    turn.events.forEach((each) => assert.equal(log.of(each.number), turn));
  }
});

test("a waterfall goes from the frame through the route and the functions to the posts", () => {
  const rows = waterfall(turnsOf(recorded)[2]!);
  const worker = rows.findIndex((row) => row.invocation?.function === "GenerateFunction");
  assert.deepEqual(names(rows.slice(0, 3)), ["frame", "route", "invocation"]);
  assert.equal(rows[worker - 1]?.event.operation, "Invoke");
  assert.ok(rows[worker]!.depth > rows[worker - 1]!.depth);
  assert.ok(rows.slice(worker).some((row) => row.kind === "posts"));
  // A post and its call are one row, which knows how long it took.
  assert.ok(rows.every((row) => row.event.operation !== "PostToConnection"));
  assert.ok(rows.filter((row) => row.kind === "post").every((row) => row.ended > row.began));
});

test("a route stands before its function, also if its own time is shorter", () => {
  const [route] = turnsOf([frame(), start("r"), call("r"), end("r"), { ...routed("r"), milliseconds: 0.1 }]);
  assert.deepEqual(names(waterfall(route!)), ["frame", "route", "invocation", "  call GetItem"]);
  const http = { request_id: "h", method: "GET", path: "/x", status: 200, milliseconds: 0.1 };
  const [request] = turnsOf([start("h", { connection_id: undefined }), call("h"), end("h"), event("http", http)]);
  assert.deepEqual(names(waterfall(request!)), ["http", "invocation", "  call GetItem"]);
});

test("bars stand inside the turn", () => {
  for (const turn of turnsOf(recorded)) {
    const rows = waterfall(turn);
    for (const row of rows) {
      const { left, width } = bar(row, turn, beginning(rows));
      assert.ok(left >= 0 && width >= 0 && left + width <= 100.001, `${row.kind} ${left} ${width}`);
    }
  }
});

test("frames of one connection that run at once keep their own invocations", () => {
  const turns = turnsOf([frame(1), frame(2), start("r1"), start("r2"), end("r2"), routed("r2"), call("r1"), end("r1"), routed("r1")]);
  assert.deepEqual(turns.map((turn) => [turn.events[0]!.bytes, turn.invocations.map((each) => each.requestId)]), [
    [1, ["r1"]],
    [2, ["r2"]],
  ]);
  assert.deepEqual(turns.map(kinds), [
    ["frame_in", "start", "call", "end", "route"],
    ["frame_in", "start", "end", "route"],
  ]);
});

test("an authorizer and $connect are one handshake", () => {
  const turns = turnsOf([start("a", { function: "Authorizer" }), end("a"), start("c"), end("c"), routed("c", "$connect"), event("open", { connection_id: CONNECTION })]);
  assert.deepEqual(turns.map((turn) => [turn.cause, functionsOf(turn)]), [["connect", ["Authorizer", "Chat"]]]);
});

test("a refused handshake is a failed one", () => {
  const [turn] = turnsOf([start("c"), end("c", { error: "Unhandled" }), event("refuse", { connection_id: CONNECTION, status: 502, why: "x" })]);
  assert.deepEqual([turn?.cause, turn?.failed], ["connect", true]);
});

test("a function that another one has called is in its turn, also if it began before the call was recorded", () => {
  for (const events of [
    [frame(), start("r1"), call("r1", { operation: "Invoke", invoked: "r2" }), start("r2", { caller: "event" }), end("r2"), end("r1")],
    [frame(), start("r1"), start("r2", { caller: "invoke" }), call("r2"), end("r2"), call("r1", { operation: "Invoke", invoked: "r2" }), end("r1")],
  ]) {
    const turns = turnsOf(events);
    assert.equal(turns.length, 1);
    const rows = waterfall(turns[0]!);
    assert.deepEqual(rows.filter((row) => row.invocation).map((row) => [row.invocation!.requestId, row.depth]), [
      ["r1", 0],
      ["r2", 2],
    ]);
  }
});

test("what nobody has called begins a turn", () => {
  const turns = turnsOf([start("r1", { caller: "event" }), end("r1"), start("r2", { caller: "replay" }), end("r2"), event("note", { text: "x" })]);
  assert.deepEqual(turns.map((turn) => turn.cause), ["event", "replay", "other"]);
});

test("an HTTP request is known at its end", () => {
  const [turn, ...more] = turnsOf([
    event("start", { request_id: "h", function: "Api", caller: "gateway", cold: true }),
    call("h"),
    event("end", { request_id: "h", function: "Api", milliseconds: 2, error: null }),
    event("http", { request_id: "h", method: "GET", path: "/chats", function: "Api", status: 500, milliseconds: 3, error: null }),
  ]);
  assert.deepEqual([more.length, turn?.cause, title(turn!), turn?.failed], [0, "http", "GET /chats", true]);
});

test("a frame that answers a message belongs to the message", () => {
  const turns = turnsOf([frame(), event("unrouted", { connection_id: CONNECTION }), sent(), frame(), start("r1"), end("r1"), routed("r1"), sent(), event("note"), event("note"), event("note")]);
  assert.deepEqual(turns.slice(0, 2).map(kinds), [
    ["frame_in", "unrouted", "frame_out"],
    ["frame_in", "start", "end", "route", "frame_out"],
  ]);
});

test("a frame that a fault loses does not take the invocation of the next one", () => {
  const lost = event("route", { request_id: "", route: "$default", function: "Chat", connection_id: CONNECTION, milliseconds: 0 });
  const turns = turnsOf([frame(1), event("fault", { point: "message", do: "drop", connection_id: CONNECTION }), lost, frame(2), start("r1"), end("r1"), routed("r1")]);
  assert.deepEqual(turns.map(kinds), [
    ["frame_in", "fault", "route"],
    ["frame_in", "start", "end", "route"],
  ]);
});

test("posts that succeed are folded, and one that fails is not", () => {
  const posts = (request: string, status: number[]) => status.flatMap((each) => (each === 200 ? [sent(), post(request)] : [post(request, each)]));
  const [turn] = turnsOf([frame(), start("r1"), ...posts("r1", [200, 200, 200, 200, 410, 200]), end("r1"), routed("r1")]);
  const rows = waterfall(turn!).filter((row) => row.kind.startsWith("post"));
  assert.deepEqual(rows.map((row) => [row.kind, row.rows?.length, row.failed]), [
    ["posts", 4, false],
    ["post", undefined, true],
    ["post", undefined, false],
  ]);
  assert.equal(turn!.failed, true);
});

test("an invocation that runs still has no end", () => {
  const [turn] = turnsOf([frame(), start("r1"), call("r1")]);
  const row = waterfall(turn!).find((each) => each.invocation);
  assert.deepEqual([row?.invocation?.end, row?.ended], [undefined, turn!.until]);
});

test("what belongs to no turn is a turn of its own, so nothing is lost", () => {
  const events = ["call", "post", "connections", "limit", "wait", "throttle", "rule", "denied", "engine", "reload", "frame_out", "close", "something new"].map((kind) => event(kind, { connection_id: `${kind}=` }));
  const turns = turnsOf([...events, event("note"), event("note"), event("note")]);
  assert.equal(turns.reduce((sum, turn) => sum + turn.events.length, 0), events.length + 3);
});

test("a turn costs what its frames, units and functions cost", () => {
  const part = (name: string, dollarsPerMillion: number) => ({ name, dollarsPerMillion, what: "", unit: "", amount: 0, dollars: 0 });
  const cost: Cost = {
    since: 0, seconds: 0, dollars: 0, region: "", pricesOf: "", leftOut: [], memory: { Chat: 1024 },
    parts: [part("messages", 1), part("invocations", 0.2), part("gbSeconds", 16), part("reads", 0.125), part("writes", 0.625)],
  };
  const [turn] = turnsOf([frame(32_769), start("r1"), call("r1", { units: 2 }), call("r1", { operation: "PutItem", units: 1 }), end("r1", { milliseconds: 999.5 })]);
  assert.deepEqual(sums(turn!), { reads: 2, writes: 1, calls: 2, posts: 0, cold: 0 });
  assert.ok(Math.abs(dollars(turn!, cost) * 1e6 - (2 + 0.2 + 16 + 0.25 + 0.625)) < 1e-6);
});

test("ten thousand events are grouped and drawn without looking at each of them again and again", () => {
  const events: TraceEvent[] = [frame(), start("r1")];
  for (let at = 0; at < 5000; at += 1) {
    events.push(sent(), post("r1"));
  }
  const [turn] = turnsOf(events);
  assert.equal(turn!.events.length, 10_002);
  assert.deepEqual(names(waterfall(turn!)), ["frame", "invocation", "  posts"]);
});
