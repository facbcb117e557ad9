import type { Runtime } from "../runtime.ts";
import type { Message, ReplyEvent, ToolCallPart } from "../types.ts";
import { outline } from "./outline.ts";
import { type Change, Progress, type Shown } from "./progress.ts";

/** What an adapter shows of a reply. It ends with `wait` or `end`. */
export type Happening =
  | { readonly type: "start"; readonly messageId: string; readonly attempt: number }
  | { readonly type: "change"; readonly change: Change }
  /** The reply waits for the user's answers to these calls. */
  | { readonly type: "wait"; readonly calls: readonly ToolCallPart[] }
  | { readonly type: "end"; readonly message: Message };

export type Timers = Pick<Runtime, "setTimeout" | "clearTimeout">;

/**
 * The time in milliseconds after which a reply waits for its user if nothing else comes. The calls of one answer come
 * one by one: the first may wait when the second begins to run.
 */
const QUIET_MS = 300;

/** The time in milliseconds in which a reply that was joined late is put together before it is shown. */
const GATHERING_MS = 200;

/** Follow a reply until it ends, or waits for its user. `shown` is what the screen has of it already. */
export async function* follow(events: AsyncIterable<ReplyEvent>, timers: Timers, shown?: Shown): AsyncGenerator<Happening> {
  const progress = new Progress(shown);
  const iterator = events[Symbol.asyncIterator]();
  let quiet: Pause | undefined;
  try {
    for (;;) {
      const next = iterator.next();
      quiet = progress.waitingCalls.length > 0 ? pause(timers, QUIET_MS) : undefined;
      const result = quiet ? await before(next, quiet) : await next;
      quiet?.end();
      if (result === "over") {
        yield { type: "wait", calls: progress.waitingCalls };
        return;
      }
      if (result.done) {
        return;
      }
      const event = result.value;
      if (event.type === "start") {
        yield event;
      }
      for (const change of progress.take(event)) {
        yield { type: "change", change };
      }
      if (event.type === "end") {
        yield event;
        return;
      }
    }
  } finally {
    leave(iterator);
  }
}

/**
 * Return the events of a reply that was joined late, in reading order. Its text comes first, and after it the parts that
 * belong between. What has come by then is put together; a screen that can only grow could not do that later.
 */
export async function* inReadingOrder(events: AsyncIterable<ReplyEvent>, timers: Timers): AsyncGenerator<ReplyEvent, undefined> {
  const iterator = events[Symbol.asyncIterator]();
  const progress = new Progress();
  const gathering = pause(timers, GATHERING_MS);
  let start: Extract<ReplyEvent, { type: "start" }> | undefined;
  let next = iterator.next();
  try {
    for (;;) {
      const result = await before(next, gathering);
      if (result === "over" || result.done || result.value.type === "end") {
        break;
      }
      const event = result.value;
      start = event.type === "start" ? event : start && event.type === "restart" ? { ...start, attempt: event.attempt } : start;
      progress.take(event);
      next = iterator.next();
    }
    if (start !== undefined) {
      yield start;
    }
    yield* outline(progress.now.text, progress.now.parts.values());
    for (let result = await next; !result.done; result = await iterator.next()) {
      yield result.value;
    }
  } finally {
    gathering.end();
    leave(iterator);
  }
}

/** Return the events of a reply that has ended, after its start. */
export async function* eventsOf(message: Message): AsyncGenerator<ReplyEvent, undefined> {
  yield* outline(message.text, message.parts);
  yield { type: "end", message };
}

interface Pause {
  readonly over: Promise<"over">;
  end(): void;
}

function pause(timers: Timers, milliseconds: number): Pause {
  let timer: unknown;
  const over = new Promise<"over">((resolve) => {
    timer = timers.setTimeout(() => resolve("over"), milliseconds);
  });
  return { over, end: () => timers.clearTimeout(timer) };
}

/** Return what a promise resolves to, or "over" if the pause is over before. */
function before<T>(next: Promise<T>, { over }: Pause): Promise<T | "over"> {
  next.catch(() => {}); // If the pause is over first, perhaps nobody asks any more what comes later.
  return Promise.race([next, over]);
}

/** Leave an iteration. That is not awaited: an iterator that waits for the next event answers only then. */
function leave(iterator: AsyncIterator<unknown>): void {
  void iterator.return?.();
}
