/** The waterfall of a turn: its rows, each with its time, in the order in which a reader follows what happened. */
import { beganAt, hasFailed, type TraceEvent } from "./events.ts";
import type { Invocation, Turn } from "./turns.ts";

export type RowKind = "frame" | "http" | "route" | "connection" | "invocation" | "call" | "post" | "posts" | "log" | "frame-out" | "note";

export interface Row {
  /** The number of the event that the row is about, which also names the row. */
  id: number;
  kind: RowKind;
  depth: number;
  began: number;
  ended: number;
  failed: boolean;
  event: TraceEvent;
  invocation?: Invocation;
  /** Of folded posts: each of them. */
  rows?: Row[];
}

/** The least number of successful posts, one after the other to one connection, that are folded into one row. */
const FOLDED_FROM = 4;

const OF_CONNECTION = new Set(["open", "close", "refuse"]);

/** Return the rows of a turn. */
export function waterfall(turn: Turn): Row[] {
  const inside = new Set(turn.invocations.flatMap((each) => [each.start, ...(each.end ? [each.end] : []), ...each.events]));
  const outside = turn.events.filter((event, place) => !inside.has(event) && !isPosted(event, turn.events[place + 1]));
  const roots = turn.invocations.filter((each) => !each.parent || !turn.invocations.includes(each.parent));
  const rows = [...outside.map((event) => around(event, roots)), ...roots.flatMap((each) => ofInvocation(turn, each, 0))];
  return inOrder(rows, 0);
}

/**
 * Return the row of an event outside of functions. A route begins before its function: the emulator computes its
 * beginning from its end, and on a busy machine some time may pass between the two times that it takes for this.
 */
function around(event: TraceEvent, invocations: Invocation[]): Row {
  const row = simple(event, 0);
  const inside = encloses(row) ? invocations.find((each) => each.requestId === event.request_id) : undefined;
  return inside ? { ...row, began: Math.min(row.began, inside.start.at) } : row;
}

function encloses(row: Row): boolean {
  return row.kind === "route" || row.kind === "http";
}

/** Return whether an event is the frame of the post that follows it, which has a row of its own. */
function isPosted(event: TraceEvent, next: TraceEvent | undefined): boolean {
  return event.kind === "frame_out" && next?.kind === "post" && next.connection_id === event.connection_id && next.bytes === event.bytes;
}

/** Sort the rows of a level by their beginnings; at the same time, a route is the first. What is below a row stays below it. */
function inOrder(rows: Row[], depth: number): Row[] {
  const blocks: Row[][] = [];
  for (const row of rows) {
    if (row.depth === depth || blocks.length === 0) {
      blocks.push([row]);
    } else {
      blocks[blocks.length - 1]!.push(row);
    }
  }
  return blocks
    .sort(([one], [other]) => one!.began - other!.began || Number(encloses(other!)) - Number(encloses(one!)) || one!.id - other!.id)
    .flat();
}

function ofInvocation(turn: Turn, invocation: Invocation, depth: number): Row[] {
  const { start, end } = invocation;
  const callees = turn.invocations.filter((each) => each.parent === invocation);
  const called = new Set(callees.map((each) => each.requestId));
  const inside: Row[] = [];
  let post: Row | undefined;
  for (const event of invocation.events) {
    if (event.kind === "call" && event.operation === "PostToConnection" && post) {
      // A post is recorded twice: by the connection, and as a call, which knows how long it took.
      post.began = beganAt(event);
      post = undefined;
      continue;
    }
    const row = simple(event, depth + 1);
    inside.push(row);
    if (event.kind === "post") {
      post = row;
    }
    const callee = event.invoked && called.has(event.invoked) ? callees.find((each) => each.requestId === event.invoked) : undefined;
    if (callee) {
      inside.push(...ofInvocation(turn, callee, depth + 2));
    }
  }
  const known = new Set(invocation.events.map((event) => event.invoked));
  inside.push(...callees.filter((each) => !known.has(each.requestId)).flatMap((each) => ofInvocation(turn, each, depth + 1)));
  const row: Row = {
    id: start.number,
    kind: "invocation",
    depth,
    began: start.at,
    ended: end?.at ?? Math.max(turn.until, start.at),
    // A step that failed has its own mark: the function may have expected it.
    failed: Boolean(end?.error),
    event: end ?? start,
    invocation,
  };
  return [row, ...folded(inOrder(inside, depth + 1))];
}

function folded(rows: Row[]): Row[] {
  const out: Row[] = [];
  for (let at = 0; at < rows.length; ) {
    let end = at;
    while (end < rows.length && canFold(rows[end]!) && rows[end]!.event.connection_id === rows[at]!.event.connection_id) {
      end += 1;
    }
    if (end - at < FOLDED_FROM) {
      out.push(...rows.slice(at, Math.max(end, at + 1)));
      at = Math.max(end, at + 1);
    } else {
      const all = rows.slice(at, end);
      const [first, last] = [all[0]!, all[all.length - 1]!];
      out.push({ ...first, kind: "posts", ended: last.ended, rows: all });
      at = end;
    }
  }
  return out;
}

function canFold(row: Row): boolean {
  return row.kind === "post" && !row.failed;
}

function simple(event: TraceEvent, depth: number): Row {
  const began = event.kind === "call" || event.kind === "route" || event.kind === "http" ? beganAt(event) : event.at;
  return { id: event.number, kind: kindOf(event), depth, began, ended: event.at, failed: hasFailed(event), event };
}

function kindOf(event: TraceEvent): RowKind {
  switch (event.kind) {
    case "frame_in":
      return "frame";
    case "frame_out":
      return "frame-out";
    case "http":
    case "route":
    case "call":
    case "post":
    case "log":
      return event.kind;
    default:
      return OF_CONNECTION.has(event.kind) ? "connection" : "note";
  }
}

/** Return where a row stands in the time of its turn, in percent. */
export function bar(row: Row, turn: Turn, began: number): { left: number; width: number } {
  const whole = Math.max(turn.until - began, 0.001);
  const left = Math.min(100, Math.max(0, ((row.began - began) / whole) * 100));
  return { left, width: Math.min(100 - left, ((row.ended - row.began) / whole) * 100) };
}

/** Return when the first row of a waterfall begins: a route is recorded after it, and began before. */
export function beginning(rows: Row[]): number {
  return rows.reduce((least, row) => Math.min(least, row.began), Infinity);
}
