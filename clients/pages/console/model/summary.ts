/** What a row of the timeline says of a turn, and what the turn would have cost. */
import type { Cost } from "./types.ts";
import type { TraceEvent } from "./events.ts";
import type { Turn } from "./turns.ts";

const NAMES = ["type", "action", "event", "op", "method", "route"];

/** Return the name of a message: the field of its JSON that says which one it is. */
export function messageName(brief: string | undefined): string | undefined {
  try {
    const message: unknown = JSON.parse(brief ?? "");
    return nameIn(message);
  } catch {
    // Only the beginning is there.
    const found = /^\s*\{\s*"(\w+)"\s*:\s*"([^"]{1,60})"/.exec(brief ?? "");
    return found && NAMES.includes(found[1]!) ? found[2] : undefined;
  }
}

function nameIn(message: unknown): string | undefined {
  if (typeof message !== "object" || message === null) {
    return undefined;
  }
  const fields = message as Record<string, unknown>;
  const value = NAMES.map((name) => fields[name]).find((each) => typeof each === "string");
  return value as string | undefined;
}

/** Return the title of a turn, in words of the trace. */
export function title(turn: Turn): string {
  const first = turn.events[0]!;
  const route = turn.events.find((each) => each.kind === "route")?.route;
  const start = turn.invocations[0]?.start;
  switch (turn.cause) {
    case "frame":
      return messageName(start?.brief) ?? route ?? "frame";
    case "http": {
      const http = turn.events.find((each) => each.kind === "http");
      return http ? `${http.method} ${http.path}` : (start?.function ?? "http");
    }
    case "connect":
      return "$connect";
    case "disconnect":
      return "$disconnect";
    case "event":
    case "replay":
      return start?.function ?? first.function ?? first.kind;
    default:
      return nameOf(first);
  }
}

/** Return the functions of a turn, each once, in their order. */
export function functionsOf(turn: Turn): string[] {
  return [...new Set(turn.invocations.map((each) => each.function))];
}

/** Return a name for an event by itself. */
export function nameOf(event: TraceEvent): string {
  switch (event.kind) {
    case "call":
      return `${event.service} ${event.operation}`;
    case "fault":
      return `${String(event["do"])} · ${String(event["point"])}`;
    case "note":
    case "denied":
    case "unused":
      return String(event["text"] ?? event.kind);
    case "refuse":
      return `${event.status ?? ""} ${String(event["why"])}`;
    case "limit":
      return String(event["what"]);
    case "rule":
      return String(event["rule"]);
    case "close":
      return `${event.code} ${event.cause}`;
    case "route":
      return `${event.route} → ${event.function}`;
    case "http":
      return `${event.method} ${event.path} → ${event.function}`;
    case "start":
    case "end":
    case "wait":
    case "throttle":
    case "dead_letter":
      return event.function ?? "";
    case "log":
      return lineOf(event.line ?? "");
    case "post":
    case "connections":
      return `${event.method} ${messageName(event.brief) ?? ""}`;
    case "reload":
      return String(event["error"] ?? event["changed"] ?? event["what"] ?? "");
    default:
      return event.brief ?? "";
  }
}

/** Return what a line of the log says: of one in JSON, its message. */
export function lineOf(line: string): string {
  try {
    const { message, level } = JSON.parse(line) as { message?: unknown; level?: unknown };
    return typeof message === "string" ? `${typeof level === "string" ? `${level} ` : ""}${message}` : line;
  } catch {
    return line;
  }
}

/** Return whether a turn is a call that nobody waits for an account of: a client's or the emulator's own, and it went well. */
export function isAside(turn: Turn): boolean {
  return turn.cause === "other" && !turn.failed && turn.events[0]!.kind === "call" && !turn.events[0]!.caller;
}

export interface Sums {
  reads: number;
  writes: number;
  calls: number;
  posts: number;
  cold: number;
}

const READS = new Set(["GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems"]);

export function sums(turn: Turn): Sums {
  const found = { reads: 0, writes: 0, calls: 0, posts: 0, cold: 0 };
  for (const event of turn.events) {
    if (event.kind === "call") {
      found.calls += 1;
      found[READS.has(event.operation ?? "") ? "reads" : "writes"] += event.units ?? 0;
    }
    found.posts += event.kind === "post" ? 1 : 0;
    found.cold += event.kind === "start" && event.cold ? 1 : 0;
  }
  return found;
}

const MESSAGE_BYTES = 32 * 1024;

/** Return the dollars that a turn would have cost on AWS, by the prices of the emulator. */
export function dollars(turn: Turn, cost: Cost): number {
  const price = new Map(cost.parts.map((part) => [part.name, part.dollarsPerMillion / 1e6]));
  const at = (name: string) => price.get(name) ?? 0;
  const { reads, writes } = sums(turn);
  let sum = reads * at("reads") + writes * at("writes");
  for (const event of turn.events) {
    if (event.kind === "frame_in" || event.kind === "frame_out") {
      sum += Math.max(1, Math.ceil((event.bytes ?? 0) / MESSAGE_BYTES)) * at("messages");
    } else if (event.kind === "http") {
      sum += at("http");
    } else if (event.kind === "call" && event.service === "sqs") {
      sum += at("sqs");
    } else if (event.kind === "end") {
      const memory = cost.memory[event.function ?? ""] ?? 0;
      sum += at("invocations") + (Math.ceil(event.milliseconds ?? 0) / 1000) * (memory / 1024) * at("gbSeconds");
    }
  }
  return sum;
}
