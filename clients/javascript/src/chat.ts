import type { ChatSnapshot, Message, SendOptions, Turn } from "./types.ts";

/** An open chat. `ParleyClient` makes it. Its methods may be called offline: what they ask is sent later. */
export class Chat {
  readonly id: string = "";
  readonly title: string = "";
  readonly assistant: string = "";

  /** The chat as it is now. The same object until something changes. */
  get snapshot(): ChatSnapshot {
    throw notYet();
  }

  /** Call the listener after each change. Returns a function that ends this. */
  subscribe(_listener: () => void): () => void {
    throw notYet();
  }

  /** Send a message. While a reply is made, it waits for the end of the reply. */
  send(_text: string, _options?: SendOptions): Turn {
    throw notYet();
  }

  /** Put a message into the place of one of the user's, and have it answered. */
  edit(_messageId: string, _text: string, _options?: SendOptions): Turn {
    throw notYet();
  }

  /** Make the last reply again. The old one stays, as a sibling. */
  regenerate(): Turn {
    throw notYet();
  }

  /** Return the reply that runs or waits now, `undefined` if there is none. */
  resume(): Turn | undefined {
    throw notYet();
  }

  /** End the reply that runs or waits. It keeps the text that there is. Nothing happens if there is none. */
  cancel(): Promise<void> {
    throw notYet();
  }

  /** Answer for a call of a tool that waits for the user. */
  approve(_callId: string, _approved: boolean): Promise<void> {
    throw notYet();
  }

  /** Show the branch of a sibling. Resolved when it is shown. */
  select(_messageId: string): Promise<void> {
    throw notYet();
  }

  /** Get older messages, up to 100 at once. Nothing happens if there are none. */
  loadMore(_limit?: number): Promise<void> {
    throw notYet();
  }

  /** Get a stored reply with all its text and parts: history has long ones only in part. */
  load(_messageId: string): Promise<Message> {
    throw notYet();
  }

  /** Send a message again that has failed. */
  retry(_clientMessageId: string): Turn {
    throw notYet();
  }

  /** Take a message back that has failed, or that was not sent yet. */
  discard(_clientMessageId: string): void {
    throw notYet();
  }

  /** Leave the chat. A reply goes on at the server. Messages that were not acknowledged fail with `chat_closed`. */
  close(): void {
    throw notYet();
  }
}

function notYet(): Error {
  return new Error("This part of parley-client is not written yet.");
}
