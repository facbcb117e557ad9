/** Small parts that the views share. */
import { signal, useSignal, useSignalEffect } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { Icon } from "../shared/icons.tsx";
import { Refused, request } from "./api.ts";
import { users } from "./feed.ts";
import { pretty } from "./format.ts";
import { hrefOf } from "./route.ts";
import { words } from "./words.ts";

export interface Loaded<T> {
  data: T | undefined;
  error: Error | undefined;
  reload: () => void;
}

/**
 * Load a path of the emulator's API, and again after each `every` milliseconds while the view is shown.
 * Without a path nothing is loaded.
 */
export function useLoaded<T>(path: string | null, every?: number): Loaded<T> {
  const data = useSignal<T | undefined>(undefined);
  const error = useSignal<Error | undefined>(undefined);
  const again = useSignal(0);
  const wanted = useSignal(path);
  if (wanted.peek() !== path) {
    wanted.value = path;
    data.value = undefined;
  }
  useSignalEffect(() => {
    void again.value;
    const asked = wanted.value;
    if (asked === null) {
      return;
    }
    const aborted = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const load = async () => {
      try {
        data.value = await request<T>("GET", asked, undefined, aborted.signal);
        error.value = undefined;
      } catch (problem) {
        if (!aborted.signal.aborted) {
          error.value = problem as Error;
        }
      }
      if (every !== undefined && !aborted.signal.aborted) {
        timer = setTimeout(() => void load(), every);
      }
    };
    void load();
    return () => {
      aborted.abort();
      clearTimeout(timer);
    };
  });
  return { data: data.value, error: error.value, reload: () => (again.value += 1) };
}

/** The seconds since the epoch, once a second, for what counts down. */
export function useNow(): number {
  const now = useSignal(Date.now() / 1000);
  useEffect(() => {
    const timer = setInterval(() => (now.value = Date.now() / 1000), 1000);
    return () => clearInterval(timer);
  }, []);
  return now.value;
}

export function Problem({ error }: { error: Error | undefined }) {
  if (!error) {
    return null;
  }
  return (
    <p class="note bad" role="alert">
      {error instanceof Refused ? error.message : words.value.offline}
    </p>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}

export function Badge({ kind = "", children }: { kind?: string; children: ComponentChildren }) {
  return <span class={`badge ${kind}`}>{children}</span>;
}

/** Id of a connection, with its user where one is known. It leads to all its turns. */
export function ConnectionLink({ id }: { id: string }) {
  const user = users.value.get(id);
  return (
    <a class="id" href={hrefOf("timeline", { connection: id })}>
      {id}
      {user && <span class="quiet"> · {user}</span>}
    </a>
  );
}

const copied = signal<string | null>(null);

export function CopyButton({ text, of }: { text: string; of: string }) {
  const done = copied.value === text;
  if (!("clipboard" in navigator)) {
    return null; // A page of another machine, by http.
  }
  const copy = () =>
    void navigator.clipboard.writeText(text).then(() => {
      copied.value = text;
      setTimeout(() => (copied.value = null), 1500);
    });
  return (
    <button type="button" class="icon-button small" aria-label={`${words.value.copy}: ${of}`} title={words.value.copy} onClick={copy}>
      <Icon name={done ? "check" : "copy"} />
      <span class="visually-hidden" role="status">
        {done && words.value.copied}
      </span>
    </button>
  );
}

/** Payload with its name. It is text, whatever is in it. */
export function Payload({ name, value }: { name: string; value: unknown }) {
  const text = pretty(value);
  return (
    <div class="payload">
      <header>
        <h3>{name}</h3>
        <CopyButton text={text} of={name} />
      </header>
      <pre tabIndex={0} role="region" aria-label={name}>
        {text === "" ? "—" : text}
      </pre>
    </div>
  );
}
