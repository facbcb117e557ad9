import type { Runtime } from "../../src/runtime.ts";

interface Timer {
  at: number;
  order: number;
  action: () => void;
}

/** Return random numbers that are the same for the same seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A world whose clock moves only when a test says so. */
export class World implements Runtime {
  time = Date.parse("2026-11-23T12:00:00.000Z");
  readonly #timers = new Set<Timer>();
  readonly #watchers = new Set<(what: "online" | "offline" | "shown") => void>();
  #order = 0;
  #standing = 0;
  #ids = 0;
  readonly random: () => number;

  constructor(seed = 1) {
    this.random = randomNumbers(seed);
  }

  now(): number {
    return this.time;
  }

  setTimeout(action: () => void, milliseconds: number): Timer {
    const timer = { at: this.time + milliseconds, order: ++this.#order, action };
    this.#timers.add(timer);
    return timer;
  }

  clearTimeout(timer: unknown): void {
    this.#timers.delete(timer as Timer);
  }

  id(): string {
    return `id-${++this.#ids}`;
  }

  watch(listener: (what: "online" | "offline" | "shown") => void): () => void {
    this.#watchers.add(listener);
    return () => this.#watchers.delete(listener);
  }

  /** Tell what the browser tells of its network and its page. */
  tell(what: "online" | "offline" | "shown"): void {
    this.#watchers.forEach((listener) => listener(what));
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  get timers(): number {
    return this.#timers.size;
  }

  /** Let time pass, and everything happen that is due. */
  async pass(milliseconds: number): Promise<void> {
    const end = this.time + milliseconds;
    await settled();
    for (let timer = this.#next(end); timer !== undefined; timer = this.#next(end)) {
      this.#timers.delete(timer);
      this.#standing = timer.at > this.time ? 0 : this.#standing + 1;
      if (this.#standing > 1000) {
        throw new Error("Time stands still: a timer is set again and again for now");
      }
      this.time = Math.max(this.time, timer.at);
      timer.action();
      await settled();
    }
    this.time = end;
  }

  /** Let time pass until a promise is settled. It has some simulated minutes. */
  async until<Value>(promise: Promise<Value>, minutes = 5): Promise<Value> {
    let isSettled = false;
    const settle = () => {
      isSettled = true;
    };
    promise.then(settle, settle);
    for (const end = this.time + minutes * 60_000; this.time < end && !isSettled;) {
      await this.pass(10);
    }
    if (!isSettled) {
      throw new Error(`Nothing has come of it in ${minutes} simulated minutes`);
    }
    return promise;
  }

  #next(end: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      const isSooner = next === undefined || timer.at < next.at || (timer.at === next.at && timer.order < next.order);
      if (timer.at <= end && isSooner) {
        next = timer;
      }
    }
    return next;
  }
}

/** Let all promises go on that can. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Return a token that looks like one of Parley, and that expires. */
export function tokenUntil(milliseconds: number, user = "alice"): string {
  const part = (content: unknown) => Buffer.from(JSON.stringify(content)).toString("base64url");
  return `${part({ alg: "HS256" })}.${part({ userId: user, exp: milliseconds / 1000 })}.signature`;
}
