/** Everything that a client takes from the world around it, but for sockets: time, chance, ids, and signs of life. */
export interface Runtime {
  /** The time in milliseconds since 1970. */
  now(): number;
  setTimeout(action: () => void, milliseconds: number): unknown;
  clearTimeout(timer: unknown): void;
  /** A number from 0 up to 1. */
  random(): number;
  /** An id that nobody else has, at most 64 characters. */
  id(): string;
  /**
   * Call the listener when the network comes back or goes, and when the page is shown again. Returns a function that
   * ends this. Absent where there is nothing to hear, as in Node.
   */
  watch?(listener: (what: "online" | "offline" | "shown") => void): () => void;
}

/** The runtime of browsers and of Node. */
export const systemRuntime: Runtime = {
  now: () => Date.now(),
  setTimeout: (action, milliseconds) => setTimeout(action, milliseconds),
  clearTimeout: (timer) => clearTimeout(timer as number),
  random: () => Math.random(),
  id: () => crypto.randomUUID(),
  watch(listener) {
    if (typeof document === "undefined") {
      return () => {};
    }
    const online = () => listener("online");
    const offline = () => listener("offline");
    const shown = () => document.visibilityState === "visible" && listener("shown");
    addEventListener("online", online);
    addEventListener("offline", offline);
    document.addEventListener("visibilitychange", shown);
    return () => {
      removeEventListener("online", online);
      removeEventListener("offline", offline);
      document.removeEventListener("visibilitychange", shown);
    };
  },
};
