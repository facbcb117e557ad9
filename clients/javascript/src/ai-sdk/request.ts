/** What a call of `sendMessages` asks for. */
import type { UIMessage } from "ai";
import { askAgain, type Ids, type Question, type Request } from "../adapters/ask.ts";
import { isWaiting } from "../adapters/progress.ts";
import { ParleyError } from "../errors.ts";
import type { Message } from "../types.ts";

export interface Asked {
  readonly trigger: "submit-message" | "regenerate-message";
  readonly messageId: string | undefined;
  readonly messages: readonly UIMessage[];
}

/** The user's answers to calls. `reply` is the message that waits, as it is on the screen. */
export interface Approval {
  readonly type: "approve";
  readonly answers: readonly { readonly callId: string; readonly approved: boolean }[];
  readonly reply: UIMessage;
}

/** Return what is asked for. `chat` are the messages that the chat shows. */
export function requestOf({ trigger, messageId, messages }: Asked, chat: readonly Message[], ids: Ids): Request | Approval {
  const target = messageId === undefined ? messages.at(-1) : messages.find(({ id }) => id === messageId);
  if (trigger === "submit-message" && target?.role === "assistant") {
    return { type: "approve", answers: answersIn(target, chat), reply: target };
  }
  const last = messages.findLast(({ role }) => role === "user");
  if (last === undefined) {
    throw new ParleyError("message_empty", "There is no message of the user to answer.");
  }
  const question = questionOf(last);
  if (trigger === "regenerate-message") {
    return askAgain(question, chat, ids);
  }
  if (messageId === undefined || ids.get(last.id) === null) {
    return { type: "send", question };
  }
  return { type: "edit", messageId: ids.get(last.id) ?? last.id, question };
}

/** Return the user's answers in a message of the screen, for the calls that still wait for them. */
function answersIn(reply: UIMessage, chat: readonly Message[]): Approval["answers"] {
  const calls = chat.flatMap(({ parts }) => parts).filter((part) => part.kind === "tool_call");
  const waiting = new Set(calls.filter(isWaiting).map(({ callId }) => callId));
  return reply.parts.flatMap((part) =>
    "toolCallId" in part && part.state === "approval-responded" && waiting.has(part.toolCallId)
      ? [{ callId: part.toolCallId, approved: part.approval.approved }]
      : [],
  );
}

function questionOf(message: UIMessage): Question {
  const texts = message.parts.flatMap((part) => (part.type === "text" ? [part.text] : []));
  const files = message.parts.flatMap((part): Question["files"][number][] => {
    if (part.type !== "file") {
      return [];
    }
    const attachmentId = part.providerMetadata?.["parley"]?.["attachmentId"];
    return typeof attachmentId === "string" ? [{ attachmentId }] : [part];
  });
  return { id: message.id, text: texts.join("\n"), files };
}
