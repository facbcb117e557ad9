/** Messages of Parley as messages of AG-UI, and back. */
import { type AGUIEvent, type AssistantMessage, EventType, type Message as AgentMessage } from "@ag-ui/client";
import type { Question } from "../adapters/ask.ts";
import { outline } from "../adapters/outline.ts";
import type { Message, Part } from "../types.ts";
import { ReplyEvents } from "./events.ts";

type UserMessage = Extract<AgentMessage, { role: "user" }>;
type ContentPart = Exclude<UserMessage["content"], string>[number];

/** The addresses of files that are attachments of Parley begin with it. */
const ATTACHMENT = "attachment:";

/** Return messages of a chat (`chat.snapshot.messages`) as messages of AG-UI. A reply with calls becomes several. */
export function toAgentMessages(messages: readonly Message[]): AgentMessage[] {
  return messages.flatMap((message) =>
    message.role === "user" ? [userMessage(message)] : replyMessages(message.id, message.text, message.parts),
  );
}

/** Return the messages of a reply. They are those that its events lead to. */
export function replyMessages(replyId: string, text: string, parts: Iterable<Part>): AgentMessage[] {
  const events = new ReplyEvents(replyId);
  const messages: AgentMessage[] = [];
  for (const piece of outline(text, parts)) {
    for (const event of events.of(piece)) {
      apply(messages, event);
    }
  }
  return messages;
}

/** Return the question in a message of the user. */
export function questionOf(message: UserMessage): Question {
  const parts: ContentPart[] = typeof message.content === "string" ? [{ type: "text", text: message.content }] : message.content;
  const texts = parts.flatMap((part) => (part.type === "text" ? [part.text] : []));
  const files = parts.flatMap((part): Question["files"][number][] => {
    if (!("source" in part)) {
      return [];
    }
    const { type, value, mimeType: mediaType = "application/octet-stream" } = part.source;
    if (type === "url" && value.startsWith(ATTACHMENT)) {
      return [{ attachmentId: value.slice(ATTACHMENT.length) }];
    }
    return [{ mediaType, url: type === "data" ? `data:${mediaType};base64,${value}` : value }];
  });
  return { id: message.id, text: texts.join("\n"), files };
}

function userMessage({ id, text, attachments = [] }: Message): AgentMessage {
  if (attachments.length === 0) {
    return { id, role: "user", content: text };
  }
  const files = attachments.map((file): ContentPart => ({
    type: file.type.startsWith("image/") ? "image" : "document",
    source: { type: "url", value: ATTACHMENT + file.id, mimeType: file.type },
    metadata: { name: file.name },
  }));
  return { id, role: "user", content: [...files, { type: "text", text }] };
}

/** Apply an event of a reply to the messages before it, as the client of AG-UI does. */
function apply(messages: AgentMessage[], event: AGUIEvent): void {
  switch (event.type) {
    case EventType.TEXT_MESSAGE_CONTENT:
      assistantMessage(messages, event.messageId).content += event.delta;
      break;
    case EventType.REASONING_MESSAGE_START:
      messages.push({ id: event.messageId, role: "reasoning", content: "" });
      break;
    case EventType.REASONING_MESSAGE_CONTENT: {
      const message = messages.find(({ id }) => id === event.messageId);
      if (message?.role === "reasoning") {
        message.content += event.delta;
      }
      break;
    }
    case EventType.TOOL_CALL_START: {
      const { toolCallId: id, toolCallName: name, parentMessageId } = event;
      const message = assistantMessage(messages, parentMessageId ?? id);
      message.toolCalls = [...(message.toolCalls ?? []), { id, type: "function", function: { name, arguments: "" } }];
      break;
    }
    case EventType.TOOL_CALL_ARGS: {
      const calls = messages.flatMap((message) => (message.role === "assistant" ? (message.toolCalls ?? []) : []));
      calls.find(({ id }) => id === event.toolCallId)!.function.arguments += event.delta;
      break;
    }
    case EventType.TOOL_CALL_RESULT:
      messages.push({ id: event.messageId, role: "tool", toolCallId: event.toolCallId, content: event.content });
      break;
  }
}

function assistantMessage(messages: AgentMessage[], id: string): AssistantMessage & { content: string } {
  const found = messages.find((message) => message.id === id);
  if (found?.role === "assistant") {
    found.content ??= "";
    return found as AssistantMessage & { content: string };
  }
  const message = { id, role: "assistant" as const, content: "" };
  messages.push(message);
  return message;
}
