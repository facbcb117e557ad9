/** Small texts that the browser keeps for this page. A browser may refuse to (private windows, settings): then nothing is kept. */

export type Keeper = "device" | "tab";

function area(keeper: Keeper): Storage {
  return keeper === "device" ? window.localStorage : window.sessionStorage;
}

export function recall(key: string, keeper: Keeper = "device"): string | null {
  try {
    return area(keeper).getItem(`parley.${key}`);
  } catch {
    return null;
  }
}

/** Keep a text. `null` forgets it. */
export function keep(key: string, value: string | null, keeper: Keeper = "device"): void {
  try {
    if (value === null) {
      area(keeper).removeItem(`parley.${key}`);
    } else {
      area(keeper).setItem(`parley.${key}`, value);
    }
  } catch {
    // Nothing is lost but the memory of a choice.
  }
}
