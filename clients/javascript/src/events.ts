/** Call a listener. An error in it is its author's: it is reported, and disturbs nobody here. */
export function call<Arguments extends unknown[]>(listener: (...given: Arguments) => void, ...given: Arguments): void {
  try {
    listener(...given);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** Listeners by the names of their events. */
export class Listeners<Events extends { [Name in keyof Events]: (given: never) => void }> {
  readonly #listeners = new Map<keyof Events, Set<(given: never) => void>>();

  on<Name extends keyof Events>(name: Name, listener: Events[Name]): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  emit<Name extends keyof Events>(name: Name, given: Parameters<Events[Name]>[0]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      call(listener as (given: unknown) => void, given);
    }
  }
}

/** A promise with the functions that settle it. Nobody has to listen to its rejection. */
export class Deferred<Value> {
  resolve!: (value: Value) => void;
  reject!: (error: Error) => void;
  readonly promise = new Promise<Value>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });

  constructor() {
    this.promise.catch(() => {});
  }
}
