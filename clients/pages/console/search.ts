/** The search for any id: the emulator looks through fields and recorded payloads, the page adds the user's connections. */
import { effect, signal } from "@preact/signals";
import { answered } from "./api.ts";
import { trace, users, version } from "./feed.ts";
import type { TraceEvent } from "./model/events.ts";
import type { Turn } from "./model/turns.ts";

/** The numbers of the events that have the text; null while there is no search. */
export const hits = signal<ReadonlySet<number> | null>(null);

/** Search for a text, and go on with each new event. Returns what ends the search. */
export function startSearch(text: string): () => void {
  if (text === "") {
    hits.value = null;
    return () => undefined;
  }
  const aborted = new AbortController();
  let after = 0;
  let run = "";
  let busy = false;
  hits.value = new Set();
  const lookOnce = async () => {
    const response = await answered("GET", `trace?text=${encodeURIComponent(text)}&after=${after}`, undefined, aborted.signal);
    const itsRun = response.headers.get("x-parley-run") ?? "";
    const found = (await response.json()) as TraceEvent[];
    if (run !== "" && itsRun !== run) {
      // The emulator was started again: its numbers begin with 1.
      [after, run] = [0, ""];
      hits.value = new Set();
      return lookOnce();
    }
    run = itsRun;
    after = Number(response.headers.get("x-parley-last") ?? after);
    hits.value = new Set([...(hits.value ?? []), ...found.map((event) => event.number)]);
  };
  const look = async () => {
    busy = true;
    let seen: number;
    do {
      seen = version.peek();
      try {
        await lookOnce();
      } catch {
        break; // The next event asks again.
      }
    } while (seen !== version.peek() && !aborted.signal.aborted);
    busy = false;
  };
  const stop = effect(() => {
    void version.value;
    if (!busy) {
      void look();
    }
  });
  return () => {
    stop();
    aborted.abort();
    hits.value = null;
  };
}

/** Return the turns that a search has found: those with the text, and those of the connections of this user. */
export function turnsFound(text: string): Set<Turn> {
  const found = new Set<Turn>();
  for (const number of hits.value ?? []) {
    const turn = trace.turnOf(number);
    if (turn) {
      found.add(turn);
    }
  }
  const connections = new Set([...users.value].filter(([, user]) => user === text).map(([connection]) => connection));
  for (const turn of connections.size > 0 ? trace.turns : []) {
    if (turn.connection && connections.has(turn.connection)) {
      found.add(turn);
    }
  }
  return found;
}
