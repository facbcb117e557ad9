/** The changes of a reply as events of AG-UI. */
import { type AGUIEvent, EventType } from "@ag-ui/client";
import { outline } from "../adapters/outline.ts";
import { type Change, isOver, type Shown } from "../adapters/progress.ts";
import type { Part, ToolCallPart } from "../types.ts";

/**
 * The events of one reply. It becomes several messages of AG-UI: text with the calls that follow it, then more text. The
 * first one has the id of the reply, the others that id and a number.
 */
export class ReplyEvents {
  /** The message that text and calls go to. It takes no more text once it has calls. */
  #message: { id: string; hasCalls: boolean } | undefined;
  #open: { id: string; kind: "text" | "reasoning" } | undefined;
  #count = 0;

  /** `shown` is what the screen has of the reply. */
  constructor(
    readonly replyId: string,
    shown?: Shown,
  ) {
    for (const piece of shown ? outline(shown.text, shown.parts.values()) : []) {
      this.of(piece);
    }
    this.close();
  }

  of(change: Exclude<Change, { type: "restart" }>): AGUIEvent[] {
    return change.type === "text" ? this.#text(change.text) : this.#part(change.part, change.before);
  }

  /** Close what is open. */
  close(): AGUIEvent[] {
    const open = this.#open;
    this.#open = undefined;
    if (open === undefined) {
      return [];
    }
    const { id: messageId } = open;
    return open.kind === "text"
      ? [{ type: EventType.TEXT_MESSAGE_END, messageId }]
      : [
          { type: EventType.REASONING_MESSAGE_END, messageId },
          { type: EventType.REASONING_END, messageId },
        ];
  }

  #text(delta: string): AGUIEvent[] {
    const events: AGUIEvent[] = [];
    if (this.#open?.kind !== "text") {
      events.push(...this.close());
      const { id: messageId } = this.#message?.hasCalls === false ? this.#message : this.#nextMessage();
      this.#open = { id: messageId, kind: "text" };
      events.push({ type: EventType.TEXT_MESSAGE_START, messageId, role: "assistant" });
    }
    return [...events, { type: EventType.TEXT_MESSAGE_CONTENT, messageId: this.#open!.id, delta }];
  }

  #part(part: Part, before: Part | undefined): AGUIEvent[] {
    switch (part.kind) {
      case "reasoning":
        return this.#reasoning(part.index, part.text.slice(before?.kind === "reasoning" ? before.text.length : 0));
      case "tool_call":
        return this.#call(part, before?.kind === "tool_call" ? before : undefined);
      case "source": {
        const { url, title, text } = part;
        const value = { messageId: this.replyId, url, ...(title !== undefined && { title }), ...(text !== undefined && { text }) };
        return [{ type: EventType.CUSTOM, name: "parley.source", value }];
      }
      case "refusal":
        return [];
    }
  }

  #reasoning(index: number, delta: string): AGUIEvent[] {
    const messageId = `${this.replyId}:reasoning-${index}`;
    const content: AGUIEvent = { type: EventType.REASONING_MESSAGE_CONTENT, messageId, delta };
    if (this.#open?.id === messageId) {
      return [content];
    }
    const closed = this.close();
    this.#open = { id: messageId, kind: "reasoning" };
    // Text that follows stands under the reasoning, in a message of its own.
    this.#message = undefined;
    return [
      ...closed,
      { type: EventType.REASONING_START, messageId },
      { type: EventType.REASONING_MESSAGE_START, messageId, role: "reasoning" },
      content,
    ];
  }

  #call(call: ToolCallPart, before: ToolCallPart | undefined): AGUIEvent[] {
    const { callId: toolCallId, name: toolCallName } = call;
    const events: AGUIEvent[] = [];
    if (before === undefined) {
      events.push(...this.close());
      const message = this.#message ?? this.#nextMessage();
      message.hasCalls = true;
      events.push(
        { type: EventType.TOOL_CALL_START, toolCallId, toolCallName, parentMessageId: message.id },
        { type: EventType.TOOL_CALL_ARGS, toolCallId, delta: call.arguments },
        { type: EventType.TOOL_CALL_END, toolCallId },
      );
    }
    if (isOver(call) && !(before && isOver(before))) {
      const content = call.result ?? call.state;
      events.push({ type: EventType.TOOL_CALL_RESULT, messageId: `${toolCallId}:result`, toolCallId, content, role: "tool" });
    }
    return events;
  }

  #nextMessage(): { id: string; hasCalls: boolean } {
    const id = this.#count === 0 ? this.replyId : `${this.replyId}:${this.#count}`;
    this.#count += 1;
    this.#message = { id, hasCalls: false };
    return this.#message;
  }
}
