/** Messages of Parley as messages of the AI SDK, and back. */
import type { UIMessage } from "ai";
import { jsonOrText, outline } from "../adapters/outline.ts";
import { isWaiting, keyOf, type Shown } from "../adapters/progress.ts";
import type { Cost, FinishReason, Rating, TokenUsage } from "../frames.ts";
import type { Attachment, Message, Part, ToolCallPart } from "../types.ts";

/** What a `UIMessage` says of its message beside the text and the parts. */
export type ParleyMetadata = {
  timestamp?: string;
  /** Above 1, the reply was made anew. */
  attempt?: number;
  finishReason?: FinishReason;
  usage?: TokenUsage;
  cost?: Cost;
  /** Why there is no answer, or no more of it. The text of the reply has it too. */
  refusal?: string;
  siblings?: string[];
  feedback?: Rating;
};

/** The parts of type `data-…`. Before the last `data-restart` of a message, nothing is part of the reply. */
export type ParleyDataParts = { restart: { attempt: number } };

export type ParleyUIMessage = UIMessage<ParleyMetadata, ParleyDataParts>;
export type ParleyUIPart = ParleyUIMessage["parts"][number];
type ToolUIPart = Extract<ParleyUIPart, { type: "dynamic-tool" }>;

export interface HistoryOptions {
  /** Return the address of a file, for `<img>` or a link. Without it, file parts have the address `attachment:ID`. */
  fileUrl?: (file: Attachment) => string;
}

/** Return messages of a chat (`chat.snapshot.messages`) for `useChat({ messages })`. */
export function toUIMessages(messages: readonly Message[], options: HistoryOptions = {}): ParleyUIMessage[] {
  return messages.map((message) => ({
    id: message.id,
    role: message.role,
    metadata: metadataOf(message),
    parts: message.role === "user" ? questionParts(message, options) : replyParts(message),
  }));
}

/** Return a message without what an attempt before the last one has shown. Without a restart, it is the same object. */
export function lastAttempt<M extends UIMessage>(message: M): M {
  const restart = message.parts.findLastIndex((part) => part.type === "data-restart");
  return restart < 0 ? message : { ...message, parts: message.parts.slice(restart + 1) };
}

export function metadataOf(message: Message): ParleyMetadata {
  const { timestamp, finishReason, usage, cost, siblings, feedback } = message;
  const refusal = message.parts.find((part) => part.kind === "refusal")?.text;
  return {
    ...(timestamp !== undefined && { timestamp }),
    ...(finishReason !== undefined && { finishReason }),
    ...(usage !== undefined && { usage }),
    ...(cost !== undefined && { cost }),
    ...(refusal !== undefined && { refusal }),
    ...(siblings !== undefined && { siblings: [...siblings] }),
    ...(feedback !== undefined && { feedback }),
  };
}

/** Return what a screen shows of a reply, from its `UIMessage`. */
export function shownOf(message: UIMessage): Shown {
  let text = "";
  const parts = new Map<string, Part>();
  for (const uiPart of lastAttempt(message).parts as readonly ParleyUIPart[]) {
    if (uiPart.type === "text") {
      text += uiPart.text;
      continue;
    }
    const part = partOf(uiPart, text.length);
    if (part) {
      parts.set(keyOf(part), part);
    }
  }
  return { text, parts };
}

/** The ids of chunks and UI parts, from which the number of a part is read again. */
export function reasoningId(index: number): string {
  return `reasoning-${index}`;
}

export function sourceId(index: number): string {
  return `source-${index}`;
}

function questionParts(message: Message, { fileUrl }: HistoryOptions): ParleyUIPart[] {
  const files = (message.attachments ?? []).map((file): ParleyUIPart => ({
    type: "file",
    mediaType: file.type,
    filename: file.name,
    url: fileUrl ? fileUrl(file) : `attachment:${file.id}`,
    providerMetadata: { parley: { attachmentId: file.id } },
  }));
  return [...files, { type: "text", text: message.text }];
}

function replyParts(message: Message): ParleyUIPart[] {
  const state = message.status === "running" ? "streaming" : "done";
  return outline(message.text, message.parts).flatMap((piece): ParleyUIPart[] => {
    if (piece.type === "text") {
      return [{ type: "text", text: piece.text, state }];
    }
    const { part } = piece;
    switch (part.kind) {
      case "reasoning":
        return [{ type: "reasoning", id: reasoningId(part.index), text: part.text, state }];
      case "tool_call":
        return [toolPart(part)];
      case "source": {
        const title = part.title === undefined ? {} : { title: part.title };
        return [{ type: "source-url", sourceId: sourceId(part.index), url: part.url, ...title }];
      }
      case "refusal":
        return [];
    }
  });
}

function toolPart(call: ToolCallPart): ToolUIPart {
  const { callId, name, approved } = call;
  const input = jsonOrText(call.arguments);
  const tool = { type: "dynamic-tool", toolName: name, toolCallId: callId, providerExecuted: true, input } as const;
  if (call.state === "done") {
    return { ...tool, state: "output-available", output: jsonOrText(call.result ?? "") };
  }
  if (call.state === "error" && approved === false) {
    return { ...tool, state: "output-denied", approval: { id: callId, approved } };
  }
  if (call.state === "error" || call.state === "cancelled") {
    return { ...tool, state: "output-error", errorText: call.result ?? call.state };
  }
  if (isWaiting(call)) {
    return { ...tool, state: "approval-requested", approval: { id: callId } };
  }
  if (approved !== undefined) {
    return { ...tool, state: "approval-responded", approval: { id: callId, approved } };
  }
  return { ...tool, state: "input-available" };
}

function partOf(part: ParleyUIPart, offset: number): Part | undefined {
  switch (part.type) {
    case "reasoning":
      return { kind: "reasoning", text: part.text, offset, index: numberIn(part.id) };
    case "source-url":
      return { kind: "source", url: part.url, offset, index: numberIn(part.sourceId) };
    case "dynamic-tool":
      return { ...callOf(part), offset, index: -1 };
    default:
      return undefined;
  }
}

function callOf(part: ToolUIPart): Omit<ToolCallPart, "index" | "offset"> {
  const call = { kind: "tool_call", callId: part.toolCallId, name: part.toolName, arguments: textOf(part.input) } as const;
  const approved = part.approval?.approved === undefined ? {} : { approved: part.approval.approved };
  switch (part.state) {
    case "input-streaming":
    case "input-available":
      return { ...call, state: "running" };
    case "approval-requested":
    case "approval-responded":
      return { ...call, state: "waiting", ...approved };
    case "output-available":
      return { ...call, state: "done", result: textOf(part.output), ...approved };
    case "output-denied":
      return { ...call, state: "error", ...approved };
    case "output-error":
      return { ...call, state: part.errorText === "cancelled" ? "cancelled" : "error", result: part.errorText, ...approved };
  }
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value ?? null);
}

function numberIn(id: string | undefined): number {
  return Number(id?.split("-")[1] ?? -1);
}
