/**
 * One reply, put together by the protocol's rule for pieces. Everything here is a value: a step returns the reply as it
 * is after a frame, and what has happened to it. The rule is in docs/protocol.md: "The rule for pieces of a reply" and
 * "Parts of a reply".
 */
import type {
  AssistantMessageCompleteData,
  AssistantMessagePartData,
  CallAnsweredData,
  ResumePoint,
} from "./frames.ts";
import type { Part, ReplyEvent } from "./types.ts";

/** A reply as far as it is here. `parts` has kinds too that this version does not know, because they are counted. */
export interface Reply {
  readonly messageId: string;
  readonly attempt: number;
  readonly text: string;
  readonly parts: ReadonlyMap<number, Part>;
  readonly end?: AssistantMessageCompleteData;
}

/** All events but the end, which has the whole message. */
export type ReplyChange = Exclude<ReplyEvent, { type: "end" }>;

export interface Step {
  readonly reply: Reply;
  readonly events: readonly ReplyChange[];
  /** Something got lost: join again with `resume`. */
  readonly missing: boolean;
}

/** Return a reply of which nothing is here yet. */
export function emptyReply(messageId: string, attempt: number): Reply {
  return { messageId, attempt, text: "", parts: new Map() };
}

/** Return what `join_chat` says to get the rest. */
export function resumePoint(reply: Reply): ResumePoint {
  return { messageId: reply.messageId, offset: reply.text.length, attempt: reply.attempt };
}

/** Take a piece of the text: a token, or the `content` of a start frame. */
export function takePiece(before: Reply, data: { attempt: number; offset: number }, piece: string): Step {
  const { reply, events, counts } = beginAttempt(before, data.attempt);
  if (!counts) {
    return unchanged(before);
  }
  const added = newEnd(reply.text, data.offset, piece);
  if (added === undefined) {
    return { reply, events, missing: true };
  }
  return addText(reply, events, added);
}

/** Take a part as it is now. */
export function takePart(before: Reply, data: AssistantMessagePartData): Step {
  const { reply, events, counts } = beginAttempt(before, data.attempt);
  if (!counts) {
    return unchanged(before);
  }
  const old = reply.parts.get(data.index);
  // Fields that this version does not know are kept: they do no harm.
  const { textOffset, ...fields } = data.part as typeof data.part & { textOffset?: number; text?: string };
  let part = { ...fields, index: data.index, offset: data.offset } as Part & { text?: string };
  let added: string | undefined;
  if (textOffset !== undefined) {
    const have = old && "text" in old ? (old.text ?? "") : "";
    added = newEnd(have, textOffset, fields.text ?? "");
    if (added === undefined) {
      return { reply, events, missing: true };
    }
    part = { ...part, text: have + added, ...(old?.cut && { cut: true }) };
  }
  if (part.kind === "tool_call" && old?.kind === "tool_call" && old.approved !== undefined) {
    part = { ...part, approved: old.approved };
  }
  const event: ReplyChange = { type: "part", part, ...(added !== undefined && { added }) };
  return { reply: withPart(reply, part), events: [...events, event], missing: false };
}

/** Note the user's answer to a call. */
export function takeAnswer(reply: Reply, data: CallAnsweredData): Step {
  for (const part of reply.parts.values()) {
    if (part.kind === "tool_call" && part.callId === data.callId) {
      const answered = { ...part, approved: data.approved };
      return { reply: withPart(reply, answered), events: [{ type: "part", part: answered }], missing: false };
    }
  }
  return unchanged(reply);
}

/** Take the end. If something is missing, the reply has not ended yet, unless `complete` says to take it as it is. */
export function takeEnd(before: Reply, data: AssistantMessageCompleteData, asItIs = false): Step {
  const { reply, events, counts } = beginAttempt(before, data.attempt);
  if (!counts) {
    return unchanged(before);
  }
  const step = data.content === null ? { reply, events, missing: false } : showText(reply, events, data.content);
  const lacksText = data.content === null && reply.text.length < data.length;
  const lacksParts = reply.parts.size < (data.partCount ?? 0);
  if ((lacksText || lacksParts) && !asItIs) {
    return { ...step, missing: true };
  }
  return { ...step, reply: { ...step.reply, end: data } };
}

/** Show the whole text of a reply, which the end or a page of history has. */
export function showText(reply: Reply, events: readonly ReplyChange[], content: string): Step {
  if (content.startsWith(reply.text)) {
    return addText(reply, events, content.slice(reply.text.length));
  }
  // Text that was sent never changes. If it has, the stored one counts.
  const again: ReplyChange[] = [...events, { type: "restart", attempt: reply.attempt }];
  const parts: ReplyChange[] = [...reply.parts.values()].map((part) => ({ type: "part", part }));
  const step = addText({ ...reply, text: "" }, again, content);
  return { ...step, events: [...step.events, ...parts] };
}

/** Return the calls that wait for the user's answer. */
export function waitingCalls(parts: Iterable<Part>): Part[] {
  return [...parts].filter(
    (part) => part.kind === "tool_call" && part.state === "waiting" && part.approved === undefined,
  );
}

const KNOWN_KINDS: ReadonlySet<string> = new Set(["reasoning", "tool_call", "source", "refusal"]);

/** Return the parts of the kinds that this version knows, in order. */
export function knownParts(parts: Iterable<Part>): readonly Part[] {
  return [...parts].filter((part) => KNOWN_KINDS.has(part.kind)).sort((one, other) => one.index - other.index);
}

/** Return the events that lead to a text with these parts. The text before a part comes before the part. */
export function replay(messageId: string, attempt: number, text: string, parts: readonly Part[]): ReplyChange[] {
  const events: ReplyChange[] = [{ type: "start", messageId, attempt }];
  let position = 0;
  for (const part of parts) {
    const end = Math.min(Math.max(part.offset, position), text.length);
    if (end > position) {
      events.push({ type: "text", text: text.slice(position, end) });
      position = end;
    }
    const whole = part.kind === "reasoning" || part.kind === "refusal" ? { added: part.text } : {};
    events.push({ type: "part", part, ...whole });
  }
  if (position < text.length) {
    events.push({ type: "text", text: text.slice(position) });
  }
  return events;
}

/** Return what of a piece is new, `undefined` if something is missing before it. */
function newEnd(text: string, offset: number, piece: string): string | undefined {
  return offset > text.length ? undefined : piece.slice(text.length - offset);
}

function beginAttempt(reply: Reply, attempt: number): { reply: Reply; events: ReplyChange[]; counts: boolean } {
  if (reply.end !== undefined || attempt < reply.attempt) {
    return { reply, events: [], counts: false };
  }
  if (attempt === reply.attempt) {
    return { reply, events: [], counts: true };
  }
  const dropped = reply.text !== "" || reply.parts.size > 0;
  const events: ReplyChange[] = dropped ? [{ type: "restart", attempt }] : [];
  return { reply: emptyReply(reply.messageId, attempt), events, counts: true };
}

function addText(reply: Reply, events: readonly ReplyChange[], added: string): Step {
  if (added === "") {
    return { reply, events, missing: false };
  }
  const text: ReplyChange = { type: "text", text: added };
  return { reply: { ...reply, text: reply.text + added }, events: [...events, text], missing: false };
}

function withPart(reply: Reply, part: Part): Reply {
  return { ...reply, parts: new Map(reply.parts).set(part.index, part) };
}

function unchanged(reply: Reply): Step {
  return { reply, events: [], missing: false };
}
