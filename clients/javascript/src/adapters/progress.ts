/**
 * What is new on a screen that can only grow.
 *
 * Both the AI SDK and AG-UI show a reply by appending: what they have shown, they cannot take back. A reply of Parley
 * may be made anew, and then its text and parts come again. Mostly they are the same, for example after an approval.
 * So what comes again is compared with what is shown, and only what goes on from there is new.
 */
import type { Part, ReplyEvent, ToolCallPart } from "../types.ts";
import { jsonOrText } from "./outline.ts";

/** A reply as far as it is shown. The keys are those of `keyOf`. */
export interface Shown {
  readonly text: string;
  readonly parts: ReadonlyMap<string, Part>;
}

export type Change =
  | { readonly type: "text"; readonly text: string }
  /** A part that is new, or that has changed since `before`. */
  | { readonly type: "part"; readonly part: Part; readonly before?: Part }
  /** What was shown is no part of the reply. Show `now` instead. */
  | { readonly type: "restart"; readonly attempt: number; readonly now: Shown };

export const NOTHING: Shown = { text: "", parts: new Map() };

/** The progress of one reply on one screen. */
export class Progress {
  #shown: { text: string; parts: Map<string, Part> };
  #now = { text: "", parts: new Map<string, Part>() };
  #attempt = 1;

  /** `shown` is what the screen has already. */
  constructor(shown: Shown = NOTHING) {
    this.#shown = { text: shown.text, parts: new Map(shown.parts) };
  }

  /** The reply as far as it has come. It is what is shown, once all that came again has come. */
  get now(): Shown {
    return this.#now;
  }

  /** The calls that wait for the user, if nothing else happens before they are answered. Else none. */
  get waitingCalls(): ToolCallPart[] {
    const calls = [...this.#now.parts.values()].filter((part) => part.kind === "tool_call");
    return calls.some((call) => call.state === "running") ? [] : calls.filter(isWaiting);
  }

  /** Take the next event of the reply. Returns what is new on the screen, in order. */
  take(event: ReplyEvent): Change[] {
    switch (event.type) {
      case "start":
        this.#attempt = event.attempt;
        return [];
      case "restart":
        this.#attempt = event.attempt;
        this.#now = { text: "", parts: new Map() };
        return [];
      case "text":
        return this.#takeText(event.text);
      case "part":
        return this.#takePart(event.part);
      case "end":
        return this.#takeEnd(event.message.text);
    }
  }

  #takeText(text: string): Change[] {
    const at = this.#now.text.length;
    const again = this.#shown.text.slice(at, at + text.length);
    this.#now.text += text;
    if (!text.startsWith(again)) {
      return this.#showAnew();
    }
    return this.#add(text.slice(again.length));
  }

  #takePart(part: Part): Change[] {
    const key = keyOf(part);
    const before = this.#shown.parts.get(key);
    this.#now.parts.set(key, part);
    if (before === undefined) {
      return this.#add("");
    }
    switch (compare(before, part)) {
      case "same":
        return [];
      case "more":
        this.#shown.parts.set(key, part);
        return [{ type: "part", part, before }];
      case "other":
        return this.#showAnew();
    }
  }

  #takeEnd(text: string): Change[] {
    const missing = [...this.#shown.parts].some(([key, part]) => part.kind === "tool_call" && !this.#now.parts.has(key));
    this.#now.text = text;
    if (missing || !text.startsWith(this.#shown.text)) {
      return this.#showAnew();
    }
    return this.#add(text.slice(this.#shown.text.length));
  }

  /** Show what is new, once all the text that is shown has come again: until then, it may still be another text. */
  #add(text: string): Change[] {
    if (this.#now.text.length < this.#shown.text.length) {
      return [];
    }
    const parts = [...this.#now.parts].filter(([key]) => !this.#shown.parts.has(key));
    parts.forEach(([key, part]) => this.#shown.parts.set(key, part));
    this.#shown.text += text;
    const changes = parts.map(([, part]): Change => ({ type: "part", part }));
    return text === "" ? changes : [...changes, { type: "text", text }];
  }

  #showAnew(): Change[] {
    this.#shown = { text: this.#now.text, parts: new Map(this.#now.parts) };
    return [{ type: "restart", attempt: this.#attempt, now: { text: this.#now.text, parts: new Map(this.#now.parts) } }];
  }
}

/** Return the name of a part in its reply. A call keeps its name in each attempt, whatever its number is. */
export function keyOf(part: Part): string {
  return part.kind === "tool_call" ? `call-${part.callId}` : `${part.kind}-${part.index}`;
}

/** Return true if a call waits for the user's approval, and nobody has answered yet. */
export function isWaiting(part: Part): boolean {
  return part.kind === "tool_call" && part.state === "waiting" && part.approved === undefined;
}

/** Return true if a call will not change any more. */
export function isOver(call: ToolCallPart): boolean {
  return call.state === "done" || call.state === "error" || call.state === "cancelled";
}

/** Say what a part is beside what is shown of it: the same (or its beginning), more of it, or another one. */
function compare(before: Part, part: Part): "same" | "more" | "other" {
  if (before.kind === "tool_call" && part.kind === "tool_call") {
    return compareCalls(before, part);
  }
  if (before.kind === "source" && part.kind === "source") {
    return before.url === part.url ? "same" : "other";
  }
  if ((before.kind === "reasoning" || before.kind === "refusal") && part.kind === before.kind) {
    return before.text.startsWith(part.text) ? "same" : part.text.startsWith(before.text) ? "more" : "other";
  }
  return "other";
}

function compareCalls(before: ToolCallPart, call: ToolCallPart): "same" | "more" | "other" {
  const sameAnswer = before.state === call.state && agree(before.result ?? "", call.result ?? "");
  if (before.name !== call.name || !agree(before.arguments, call.arguments) || (isOver(before) && !sameAnswer)) {
    return "other";
  }
  return sameAnswer && before.approved === call.approved ? "same" : "more";
}

/** Return true if two texts may be the same: history cuts long ones, and a screen may have the value instead of the text. */
function agree(one: string, other: string): boolean {
  return one.startsWith(other) || other.startsWith(one) || JSON.stringify(jsonOrText(one)) === JSON.stringify(jsonOrText(other));
}
