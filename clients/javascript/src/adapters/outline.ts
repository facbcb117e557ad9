/** A reply as a list in reading order: its text, cut where its parts stand, and the parts between. */
import type { Part } from "../types.ts";

export type Piece = { readonly type: "text"; readonly text: string } | { readonly type: "part"; readonly part: Part };

/** Return the text and the parts of a reply in the order in which a reader meets them. */
export function outline(text: string, parts: Iterable<Part>): Piece[] {
  const pieces: Piece[] = [];
  let shown = 0;
  const placed = [...parts].sort((one, other) => one.offset - other.offset || one.index - other.index);
  for (const part of placed) {
    const end = Math.min(Math.max(part.offset, shown), text.length);
    if (end > shown) {
      pieces.push({ type: "text", text: text.slice(shown, end) });
      shown = end;
    }
    pieces.push({ type: "part", part });
  }
  if (shown < text.length) {
    pieces.push({ type: "text", text: text.slice(shown) });
  }
  return pieces;
}

/** Return the value of a text that should be JSON. A text that is none, or that is cut, is returned as it is. */
export function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
