/** Place of a message among its siblings: "2 of 3". */

export interface Place {
  readonly number: number;
  readonly count: number;
  readonly previous?: string;
  readonly next?: string;
}

/** Return the place, undefined for a message without siblings. */
export function placeAmong(messageId: string, siblings: readonly string[] | null | undefined): Place | undefined {
  const at = siblings?.indexOf(messageId) ?? -1;
  if (!siblings || siblings.length < 2 || at < 0) {
    return undefined;
  }
  const [previous, next] = [siblings[at - 1], siblings[at + 1]];
  return { number: at + 1, count: siblings.length, ...(previous ? { previous } : {}), ...(next ? { next } : {}) };
}
