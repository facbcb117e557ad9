/** The live trace: events as they happen, grouped into turns. One request waits for the next events at any time. */
import { signal } from "@preact/signals";
import { answered, path, request } from "./api.ts";
import type { TraceEvent } from "./model/events.ts";
import { isOfConnections, usersOf } from "./model/items.ts";
import { TurnLog, type Turn } from "./model/turns.ts";
import type { Connection, Items, Table } from "./model/types.ts";

/** The most events that the page keeps; the emulator keeps as many. */
const MOST_EVENTS = 10_000;
const SLACK = 2_000;
const AT_ONCE = 1_000;
const WAIT_SECONDS = 25;
/** The pause between two requests: a reply that streams is shown a few times a second, and not for each of its frames. */
const PAUSE_MS = 150;
const RETRY_MS = 1_500;

export type FeedState = "loading" | "live" | "paused" | "offline";

export const state = signal<FeedState>("loading");
export const recording = signal<boolean | null>(null);
/** It changes with each batch of events. Who reads it is drawn anew. */
export const version = signal(0);
/** The users of connections, also of those that have been closed meanwhile. */
export const users = signal<ReadonlyMap<string, string>>(new Map());

let events: TraceEvent[] = [];
let log = new TurnLog();
let run = "";
let last = 0;
let paused = false;
let wake: (() => void) | undefined;

/** What there is so far. A component that reads it is drawn anew with each batch of events. */
export const trace = {
  get events(): readonly TraceEvent[] {
    void version.value;
    return events;
  },
  get turns(): readonly Turn[] {
    void version.value;
    return log.turns;
  },
  turnOf(number: number): Turn | undefined {
    void version.value;
    return log.of(number);
  },
};

export function pause(on: boolean): void {
  paused = on;
  state.value = on ? "paused" : "live";
  wake?.();
}

function take(found: TraceEvent[], itsRun: string): void {
  if (itsRun !== run) {
    // The emulator was started again: its numbers begin with 1.
    events = [];
    log = new TurnLog();
    users.value = new Map();
    run = itsRun;
  }
  events.push(...found);
  if (events.length > MOST_EVENTS + SLACK) {
    events = events.slice(-MOST_EVENTS);
    log = new TurnLog();
    log.add(events);
  } else {
    log.add(found);
  }
  version.value += 1;
}

async function read(): Promise<void> {
  const wait = state.value === "live" ? WAIT_SECONDS : 0;
  const response = await answered("GET", `trace?after=${last}&wait=${wait}&limit=${AT_ONCE}&brief=1`);
  const itsRun = response.headers.get("x-parley-run") ?? "";
  if (run !== "" && itsRun !== run && last > 0) {
    last = 0;
    run = "";
    return;
  }
  const found = (await response.json()) as TraceEvent[];
  last = Number(response.headers.get("x-parley-last") ?? last);
  if (found.length > 0 || run !== itsRun) {
    take(found, itsRun);
  }
  if (found.some((event) => event.kind === "open")) {
    void learnUsers();
  }
  if (found.length < AT_ONCE && !paused) {
    state.value = "live";
  }
}

/** Learn who the open connections belong to: from their authorizer, or from a table of connections. */
async function learnUsers(): Promise<void> {
  const known = new Map(users.value);
  try {
    for (const each of await request<Connection[]>("GET", "connections")) {
      if (each.user) {
        known.set(each.connectionId, each.user);
      }
    }
    for (const table of (await request<Table[]>("GET", "tables")).filter(isOfConnections)) {
      const page = await request<Items>("GET", `${path("tables", table.name)}?limit=100`);
      usersOf(page).forEach((user, connection) => known.set(connection, user));
    }
  } catch {
    // The tables may be elsewhere. The timeline works without the users.
  }
  users.value = known;
}

const rest = (milliseconds: number) =>
  new Promise<void>((resolve) => {
    wake = resolve;
    setTimeout(resolve, milliseconds);
  });

/** Follow the trace for as long as the page is open. */
export async function startFeed(): Promise<never> {
  for (;;) {
    if (paused) {
      await rest(60_000);
      continue;
    }
    try {
      recording.value ??= (await request<{ recording: boolean }>("GET", "record")).recording;
      await read();
      await rest(state.value === "live" ? PAUSE_MS : 0);
    } catch {
      state.value = "offline";
      recording.value = null;
      await rest(RETRY_MS);
    }
  }
}
