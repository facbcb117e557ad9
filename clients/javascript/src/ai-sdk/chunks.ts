/** The changes of a reply as chunks of the AI SDK's UI message stream. */
import type { InferUIMessageChunk } from "ai";
import type { Happening } from "../adapters/follow.ts";
import { jsonOrText, outline } from "../adapters/outline.ts";
import { type Change, isOver, isWaiting, keyOf } from "../adapters/progress.ts";
import type { FinishReason } from "../frames.ts";
import type { Message, Part, ToolCallPart } from "../types.ts";
import { metadataOf, type ParleyUIMessage, reasoningId, sourceId } from "./messages.ts";

export type ParleyChunk = InferUIMessageChunk<ParleyUIMessage>;

type AiFinishReason = NonNullable<Extract<ParleyChunk, { type: "finish" }>["finishReason"]>;

const FINISH_REASONS: Record<Exclude<FinishReason, "cancelled">, AiFinishReason> = {
  stop: "stop",
  length: "length",
  content_filter: "content-filter",
  error: "error",
};

/** The chunks of one stream. Of text and reasoning, one is open at a time: the one that grows. */
export class Chunks {
  #open: { id: string; kind: "text" | "reasoning"; of: string } | undefined;
  #opened = 0;

  of(happening: Happening): ParleyChunk[] {
    switch (happening.type) {
      case "start": {
        const { messageId, attempt } = happening;
        return [{ type: "start", messageId, messageMetadata: { attempt } }];
      }
      case "change":
        return this.#change(happening.change);
      case "wait":
        // The answer to the call continues the message, in a stream of its own.
        return [...this.#close(), { type: "finish", finishReason: "tool-calls" }];
      case "end":
        return this.#end(happening.message);
    }
  }

  #change(change: Change): ParleyChunk[] {
    switch (change.type) {
      case "text":
        return this.#grow("text", "text", change.text);
      case "part":
        return this.#part(change.part, change.before);
      case "restart": {
        const { attempt, now } = change;
        // A step of its own: a call that comes again is then a new part, and not the one that is no longer shown.
        return [
          ...this.#close(),
          { type: "message-metadata", messageMetadata: { attempt } },
          { type: "data-restart", data: { attempt } },
          { type: "start-step" },
          ...outline(now.text, now.parts.values()).flatMap((piece) => this.#change(piece)),
        ];
      }
    }
  }

  #end(message: Message): ParleyChunk[] {
    const messageMetadata = metadataOf(message);
    if (message.finishReason === "cancelled") {
      return [...this.#close(), { type: "message-metadata", messageMetadata }, { type: "abort", reason: "cancelled" }];
    }
    const finishReason = message.finishReason ? (FINISH_REASONS[message.finishReason] ?? "other") : "stop";
    return [...this.#close(), { type: "finish", finishReason, messageMetadata }];
  }

  #part(part: Part, before: Part | undefined): ParleyChunk[] {
    switch (part.kind) {
      case "reasoning": {
        const shown = before?.kind === "reasoning" ? before.text.length : 0;
        return this.#grow("reasoning", keyOf(part), part.text.slice(shown), reasoningId(part.index));
      }
      case "tool_call":
        return [...this.#close(), ...callChunks(part, before?.kind === "tool_call" ? before : undefined)];
      case "source": {
        const title = part.title === undefined ? {} : { title: part.title };
        return [...this.#close(), { type: "source-url", sourceId: sourceId(part.index), url: part.url, ...title }];
      }
      case "refusal":
        return [];
    }
  }

  #grow(kind: "text" | "reasoning", of: string, delta: string, id = `text-${this.#opened}`): ParleyChunk[] {
    if (delta === "") {
      return [];
    }
    if (this.#open?.of === of) {
      return [{ type: `${kind}-delta`, id: this.#open.id, delta }];
    }
    const closed = this.#close();
    this.#open = { id, kind, of };
    this.#opened += 1;
    return [...closed, { type: `${kind}-start`, id }, { type: `${kind}-delta`, id, delta }];
  }

  #close(): ParleyChunk[] {
    const open = this.#open;
    this.#open = undefined;
    return open ? [{ type: `${open.kind}-end`, id: open.id }] : [];
  }
}

/** A call as it is now, as chunks that lead there from `before`. */
function callChunks(call: ToolCallPart, before: ToolCallPart | undefined): ParleyChunk[] {
  const { callId: toolCallId, name: toolName } = call;
  const chunks: ParleyChunk[] = [];
  if (before === undefined) {
    const input = jsonOrText(call.arguments);
    chunks.push({ type: "tool-input-available", toolCallId, toolName, input, dynamic: true, providerExecuted: true });
  }
  if (isWaiting(call) && !(before && isWaiting(before))) {
    chunks.push({ type: "tool-approval-request", approvalId: toolCallId, toolCallId });
  }
  return isOver(call) ? [...chunks, outcome(call, before?.approved)] : chunks;
}

function outcome(call: ToolCallPart, approvedBefore: boolean | undefined): ParleyChunk {
  const { callId: toolCallId, result } = call;
  if (call.state === "done") {
    return { type: "tool-output-available", toolCallId, output: jsonOrText(result ?? ""), dynamic: true };
  }
  if (call.state === "error" && (call.approved ?? approvedBefore) === false) {
    return { type: "tool-output-denied", toolCallId };
  }
  return { type: "tool-output-error", toolCallId, errorText: result ?? call.state, dynamic: true };
}
