import type { Runtime } from "../runtime.ts";
import type { Message, ToolCallPart, Turn } from "../types.ts";
import { type Change, NOTHING, Progress, type Shown } from "./progress.ts";

/** What an adapter shows of a reply. It ends with `wait` or `end`. */
export type Happening =
  | { readonly type: "start"; readonly messageId: string; readonly attempt: number }
  /** `now` is the reply as far as it has come. */
  | { readonly type: "change"; readonly change: Change; readonly now: Shown }
  /** The reply waits for the user's answers to these calls. */
  | { readonly type: "wait"; readonly calls: readonly ToolCallPart[] }
  | { readonly type: "end"; readonly message: Message };

export type Timers = Pick<Runtime, "setTimeout" | "clearTimeout">;

/**
 * The time in milliseconds after which a reply waits for its user if nothing else comes. The calls of one answer come
 * one by one: the first may wait when the second begins to run.
 */
export const QUIET_MS = 300;

/** Follow a reply until it ends, or waits for its user. `shown` is what the screen has of it already. */
export async function* follow(turn: Turn, timers: Timers, shown: Shown = NOTHING): AsyncGenerator<Happening> {
  const progress = new Progress(shown);
  const events = turn.events[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = events.next();
      const waits = progress.waitingCalls.length > 0;
      const result = waits ? await nextOrQuiet(next, timers) : await next;
      if (result === "quiet") {
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
        yield { type: "change", change, now: progress.now };
      }
      if (event.type === "end") {
        yield event;
        return;
      }
    }
  } finally {
    // Not awaited: an iterator that waits for the next event answers only then.
    void events.return?.();
  }
}

/** Return what a promise resolves to, or "quiet" if it takes longer than `QUIET_MS`. */
async function nextOrQuiet<T>(next: Promise<T>, timers: Timers): Promise<T | "quiet"> {
  let timer: unknown;
  const quiet = new Promise<"quiet">((resolve) => {
    timer = timers.setTimeout(() => resolve("quiet"), QUIET_MS);
  });
  next.catch(() => {}); // If the wait is over first, nobody asks any more what comes later.
  try {
    return await Promise.race([next, quiet]);
  } finally {
    timers.clearTimeout(timer);
  }
}
