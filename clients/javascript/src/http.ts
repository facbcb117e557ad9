import type { FinishReason, MessageView, PlacedPart, Rating } from "./frames.ts";
import type { Assistant, Attachment, TokenSource } from "./types.ts";

export interface HttpOptions {
  /** The address of the HTTP API: `https://…`. */
  url: string | URL;
  token: TokenSource;
  /** Default: the global `fetch`. */
  fetch?: typeof fetch;
}

/** A chat in a list. */
export interface ChatInfo {
  readonly chatId: string;
  readonly title: string;
  readonly assistant: string;
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** A message with all its text and parts. `after` is there if it does not come after the one with the next lower id. */
export interface StoredMessage extends MessageView {
  readonly content: string;
  readonly finishReason?: FinishReason;
  readonly parts?: readonly PlacedPart[];
  readonly after?: string;
}

/** The HTTP API of Parley. Every failure is a `ParleyError` with the code of its problem document. */
export class HttpApi {
  constructor(readonly options: HttpOptions) {}

  /** Return a page of the user's chats, the last used first, and the cursor of the next page. */
  chats(_options?: { cursor?: string; limit?: number }): Promise<{ chats: ChatInfo[]; cursor: string | null }> {
    throw notYet();
  }

  chat(_chatId: string): Promise<ChatInfo> {
    throw notYet();
  }

  rename(_chatId: string, _title: string): Promise<ChatInfo> {
    throw notYet();
  }

  delete(_chatId: string): Promise<void> {
    throw notYet();
  }

  /** Return a page of messages, the oldest first. Without `before` and `after` the newest page. */
  messages(
    _chatId: string,
    _options?: { before?: string; after?: string; limit?: number },
  ): Promise<{ messages: StoredMessage[]; before: string | null; after: string | null }> {
    throw notYet();
  }

  /** Return the chat as a file. */
  export(_chatId: string, _format?: "json" | "markdown"): Promise<Blob> {
    throw notYet();
  }

  /** Rate a reply. `null` takes the rating back. */
  feedback(_chatId: string, _messageId: string, _rating: Rating | null, _text?: string): Promise<void> {
    throw notYet();
  }

  assistants(): Promise<Assistant[]> {
    throw notYet();
  }

  /** Return the user of the token. */
  me(): Promise<Record<string, unknown>> {
    throw notYet();
  }

  /** Return what the user has used today (UTC). */
  usage(): Promise<Record<string, unknown>> {
    throw notYet();
  }

  /** Upload a file for messages of a chat. Give the answer to `chat.send()`. */
  upload(_chatId: string, _file: File, _options?: { signal?: AbortSignal }): Promise<Attachment> {
    throw notYet();
  }

  /** Return a link to a file of a message. It works for some minutes. */
  link(_chatId: string, _attachmentId: string): Promise<Attachment & { url: string; expiresAt: string }> {
    throw notYet();
  }
}

function notYet(): Error {
  return new Error("This part of parley-client is not written yet.");
}
