/** What a call of `sendMessages` asks for. The AI SDK gives the whole history; the server has it, so only what is new is sent. */
import type { UIMessage } from "ai";
import type { FileAt } from "../adapters/files.ts";
import { isWaiting } from "../adapters/progress.ts";
import { ParleyError } from "../errors.ts";
import type { Message } from "../types.ts";

export interface Asked {
  readonly trigger: "submit-message" | "regenerate-message";
  readonly messageId: string | undefined;
  readonly messages: readonly UIMessage[];
}

/** The ids that the server has given to messages of the screen. `null`: it has refused the message. */
export type KnownIds = ReadonlyMap<string, string | null>;

export type Request =
  | { readonly type: "send"; readonly question: Question }
  /** `attachments` are those of the message as it is, if it is asked again as it is. */
  | { readonly type: "edit"; readonly messageId: string; readonly question: Question; readonly attachments?: readonly string[] }
  | { readonly type: "regenerate" }
  /** `reply` is the message that waits, as it is on the screen. */
  | { readonly type: "approve"; readonly answers: readonly Answer[]; readonly reply: UIMessage };

export interface Question {
  /** The id on the screen. */
  readonly id: string;
  readonly text: string;
  readonly files: readonly (FileAt | { readonly attachmentId: string })[];
}

export interface Answer {
  readonly callId: string;
  readonly approved: boolean;
}

/** Return what is asked for in a chat with these messages. */
export function requestOf(asked: Asked, chat: readonly Message[], known: KnownIds): Request {
  const last = asked.messages.at(-1);
  const continued = asked.messageId === undefined ? last : asked.messages.find(({ id }) => id === asked.messageId);
  if (asked.trigger === "submit-message" && continued?.role === "assistant") {
    return { type: "approve", answers: answersIn(continued, chat), reply: continued };
  }
  const ui = asked.messages.findLast(({ role }) => role === "user");
  if (ui === undefined) {
    throw new ParleyError("message_empty", "There is no message of the user to answer.");
  }
  const question = questionOf(ui);
  const id = known.get(ui.id) ?? ui.id;
  const isNew = known.get(ui.id) === null || (asked.trigger === "submit-message" && asked.messageId === undefined);
  if (isNew) {
    return { type: "send", question };
  }
  if (asked.trigger === "submit-message") {
    return { type: "edit", messageId: id, question };
  }
  if (chat.findLast(({ role }) => role === "user")?.id === id) {
    return { type: "regenerate" };
  }
  // The server makes only the last reply anew. An earlier question is asked again, which makes a branch too.
  const attachments = chat.find((message) => message.id === id)?.attachments?.map((file) => file.id);
  return { type: "edit", messageId: id, question, ...(attachments && { attachments }) };
}

/** Return the user's answers in a message of the screen, for the calls that still wait for them. */
function answersIn(reply: UIMessage, chat: readonly Message[]): Answer[] {
  const waiting = new Set(
    chat.flatMap((message) => message.parts.flatMap((part) => (part.kind === "tool_call" && isWaiting(part) ? [part.callId] : []))),
  );
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
