import type { TokenReason, TokenSource } from "./types.ts";

/** A token that expires sooner is not used for a new connection. */
const SHORTEST = 60_000;

/** Return when a JSON Web Token expires, in milliseconds since 1970; `undefined` if it does not say so. */
export function expiryOf(token: string): number | undefined {
  try {
    const [, payload = ""] = token.split(".");
    const { exp } = JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/"))) as { exp?: unknown };
    return typeof exp === "number" ? exp * 1000 : undefined;
  } catch {
    return undefined;
  }
}

/** The token of a user, for all connections and requests. */
export class Tokens {
  #token: string | undefined;
  #fetching: Promise<string> | undefined;

  constructor(
    private readonly source: TokenSource,
    private readonly now: () => number,
  ) {}

  get isRenewable(): boolean {
    return typeof this.source !== "string";
  }

  /** Return a token. `old` is one that was refused, or that expires soon: then it is another one. */
  get(reason: TokenReason, old?: string): Promise<string> {
    const { source } = this;
    if (typeof source === "string") {
      return Promise.resolve(source);
    }
    if (this.#token !== undefined && this.#token !== old && this.#isLasting(this.#token)) {
      return Promise.resolve(this.#token);
    }
    // Several connections that ask at once get the same one.
    this.#fetching ??= Promise.resolve()
      .then(() => source(reason))
      .then((token) => (this.#token = token))
      .finally(() => {
        this.#fetching = undefined;
      });
    return this.#fetching;
  }

  #isLasting(token: string): boolean {
    const expiry = expiryOf(token);
    return expiry !== undefined && expiry - this.now() > SHORTEST;
  }
}
