/** Order of what a reply shows: pieces of its text, and between them its parts, at their places. */

/** The fields that this page reads of a part of a reply. A kind that it does not know is not shown. */
export interface Part {
  readonly index: number;
  readonly offset: number;
  readonly kind: string;
  readonly text?: string | null;
  readonly callId?: string;
  readonly name?: string;
  readonly arguments?: string;
  readonly state?: string;
  readonly result?: string | null;
  readonly url?: string;
  readonly title?: string | null;
  readonly cut?: boolean;
}

export type Segment =
  | { readonly kind: "text"; readonly start: number; readonly text: string }
  | { readonly kind: "part"; readonly part: Part };

export interface Arranged {
  readonly segments: readonly Segment[];
  /** Sources stand together at the end. */
  readonly sources: readonly Part[];
  /** Why there is no answer. The text of the reply ends with it too, and is shown without it. */
  readonly refusal?: string;
}

export function arrange(text: string, parts: readonly Part[]): Arranged {
  const refusal = parts.findLast((part) => part.kind === "refusal")?.text?.trim();
  const body = refusal && text.trimEnd().endsWith(refusal) ? text.trimEnd().slice(0, -refusal.length).trimEnd() : text;
  const inline = parts
    .filter((part) => part.kind === "reasoning" || part.kind === "tool_call")
    .toSorted((one, other) => one.offset - other.offset || one.index - other.index);
  const segments: Segment[] = [];
  let at = 0;
  for (const part of inline) {
    const end = Math.min(part.offset, body.length);
    pushText(segments, at, body.slice(at, end));
    at = Math.max(at, end);
    segments.push({ kind: "part", part });
  }
  pushText(segments, at, body.slice(at));
  return { segments, sources: distinct(parts.filter((part) => part.kind === "source")), ...(refusal ? { refusal } : {}) };
}

function pushText(segments: Segment[], start: number, text: string): void {
  if (text.trim() !== "") {
    segments.push({ kind: "text", start, text });
  }
}

function distinct(sources: readonly Part[]): Part[] {
  const urls = new Set<string>();
  return sources.filter((source) => source.url !== undefined && !urls.has(source.url) && urls.add(source.url));
}

/** Return the address if a page may link to it: of the web, and nothing that runs. */
export function webAddress(url: string | undefined): string | undefined {
  const parsed = url === undefined ? null : URL.parse(url);
  return parsed !== null && (parsed.protocol === "https:" || parsed.protocol === "http:") ? parsed.href : undefined;
}

/** Return JSON with one field in a line, or the text as it is. */
export function readable(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}
