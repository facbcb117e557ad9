/** Messages of the user that the server has not acknowledged, and their places among those that it has. */
import type { ParleyError } from "./errors.ts";
import type { Attachment, Message } from "./types.ts";

export interface NewMessage {
  readonly text: string;
  readonly clientMessageId: string;
  readonly attachments: readonly (Attachment | string)[];
  /** The message in whose place it comes. */
  readonly replaces?: string | undefined;
}

export interface Pending extends NewMessage {
  error?: ParleyError;
  /** The stored message that is this one, it seems: the chat was joined again, and its acknowledgement is to come. */
  shownAs?: string;
}

/** Return the messages of a chat with those that are not acknowledged. */
export function withPending(stored: readonly Message[], pending: readonly Pending[]): readonly Message[] {
  let messages = [...stored];
  for (const each of pending) {
    if (each.shownAs !== undefined && stored.some(({ id }) => id === each.shownAs)) {
      continue;
    }
    const replaced = each.replaces === undefined ? -1 : messages.findIndex(({ id }) => id === each.replaces);
    if (replaced >= 0) {
      messages = messages.slice(0, replaced);
    }
    messages.push(messageOf(each));
  }
  return messages;
}

const MESSAGES = new WeakMap<Pending, Message>();

/** Return a message as the application sees it: the same object until it fails. */
function messageOf(pending: Pending): Message {
  const known = MESSAGES.get(pending);
  if (known !== undefined && known.error === pending.error) {
    return known;
  }
  const attachments = pending.attachments.filter((each) => typeof each !== "string");
  const message: Message = {
    id: pending.clientMessageId,
    role: "user",
    text: pending.text,
    status: pending.error ? "failed" : "sending",
    parts: [],
    clientMessageId: pending.clientMessageId,
    ...(attachments.length > 0 && { attachments }),
    ...(pending.error && { error: pending.error }),
  };
  MESSAGES.set(pending, message);
  return message;
}
