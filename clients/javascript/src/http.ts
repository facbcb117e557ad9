import { ParleyError } from "./errors.ts";
import type { FinishReason, MessageView, PlacedPart, Rating, TokenUsage } from "./frames.ts";
import { Tokens } from "./tokens.ts";
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
  /** The time of the user's last message or `regenerate`. */
  readonly updatedAt: string;
}

export interface ChatDetails extends ChatInfo {
  readonly createdAt: string;
  /** Counts the messages of all branches. */
  readonly messageCount: number;
}

/** A message with all its text and parts. */
export interface StoredMessage extends Omit<MessageView, "finishReason" | "length" | "partCount"> {
  readonly content: string;
  readonly finishReason: FinishReason | null;
  readonly usage: TokenUsage | null;
  readonly parts?: readonly PlacedPart[];
  /** The message before it, `-` for none, if that is not the one with the next lower id. */
  readonly after?: string;
}

/** What a user has used today (UTC). A number is 0 if no limit makes the server count it. */
export interface DailyUsage {
  readonly day: string;
  readonly messages: number;
  readonly tokens: number;
}

export interface User {
  readonly userId: string;
  readonly name: string;
  readonly roles: readonly string[];
}

interface Call {
  method?: string;
  query?: Record<string, string | number | undefined>;
  body?: unknown;
}

/** The HTTP API of Parley. Every failure is a `ParleyError` with the code of its problem document. */
export class HttpApi {
  readonly #url: string;
  readonly #fetch: typeof fetch;
  readonly #tokens: Tokens;

  constructor(options: HttpOptions) {
    this.#url = String(options.url).replace(/\/$/, "");
    // Called as a function: browsers refuse a `fetch` that is called as a method of something else.
    this.#fetch = options.fetch ?? ((...given) => fetch(...given));
    this.#tokens = new Tokens(options.token, () => Date.now());
  }

  /** Return a page of the user's chats, the last used first, and the cursor of the next page. */
  chats(options: { cursor?: string; limit?: number } = {}): Promise<{ chats: ChatInfo[]; cursor: string | null }> {
    return this.#json(["chats"], { query: options });
  }

  chat(chatId: string): Promise<ChatDetails> {
    return this.#json(["chats", chatId]);
  }

  rename(chatId: string, title: string): Promise<ChatDetails> {
    return this.#json(["chats", chatId], { method: "PATCH", body: { title } });
  }

  async delete(chatId: string): Promise<void> {
    await this.#call(["chats", chatId], { method: "DELETE" });
  }

  /** Return a page of messages, the oldest first. Without `before` and `after` the newest page. */
  messages(
    chatId: string,
    options: { before?: string; after?: string; limit?: number } = {},
  ): Promise<{ messages: StoredMessage[]; before: string | null; after: string | null }> {
    return this.#json(["chats", chatId, "messages"], { query: options });
  }

  /** Return the chat as a file, with all its branches. */
  async export(chatId: string, format: "json" | "markdown" = "json"): Promise<Blob> {
    return (await this.#call(["chats", chatId, "export"], { query: { format } })).blob();
  }

  /** Rate a reply. `null` takes the rating back. */
  async feedback(chatId: string, messageId: string, rating: Rating | null, text?: string): Promise<void> {
    const path = ["chats", chatId, "messages", messageId, "feedback"];
    const body = text === undefined ? { rating } : { rating, text };
    await this.#call(path, rating === null ? { method: "DELETE" } : { method: "POST", body });
  }

  async assistants(): Promise<Assistant[]> {
    return (await this.#json<{ assistants: Assistant[] }>(["assistants"])).assistants;
  }

  /** Return the user of the token. */
  me(): Promise<User> {
    return this.#json(["me"]);
  }

  usage(): Promise<DailyUsage> {
    return this.#json(["me", "usage"]);
  }

  /** Upload a file for messages of a chat. Give the answer to `chat.send()`. */
  async upload(chatId: string, file: File, options: { signal?: AbortSignal } = {}): Promise<Attachment> {
    const body = { chatId, name: file.name, type: mediaType(file), bytes: file.size };
    const form = await this.#json<Attachment & { url: string; fields: Record<string, string> }>(["attachments"], {
      method: "POST",
      body,
    });
    const data = new FormData();
    for (const [name, value] of Object.entries(form.fields)) {
      data.append(name, value);
    }
    // The store reads no field after the file.
    data.append("file", file);
    const answer = await this.#send(form.url, { method: "POST", body: data, ...options });
    if (!answer.ok) {
      throw new ParleyError("http_failed", `The store has refused the file (${answer.status})`);
    }
    const { id, name, type, bytes } = form;
    return { id, name, type, bytes };
  }

  /** Return a link to a file of a message. It works for some minutes. */
  link(chatId: string, attachmentId: string): Promise<Attachment & { url: string; expiresAt: string }> {
    return this.#json(["chats", chatId, "attachments", attachmentId]);
  }

  async #json<Answer>(path: readonly string[], call: Call = {}): Promise<Answer> {
    return (await (await this.#call(path, call)).json()) as Answer;
  }

  async #call(path: readonly string[], call: Call = {}): Promise<Response> {
    const token = await this.#tokens.get("connect");
    const answer = await this.#request(path, call, token);
    if (answer.ok) {
      return answer;
    }
    const problem = await problemOf(answer);
    if (problem.code !== "invalid_token" || !this.#tokens.isRenewable) {
      throw problem;
    }
    const again = await this.#request(path, call, await this.#tokens.get("refused", token));
    if (!again.ok) {
      throw await problemOf(again);
    }
    return again;
  }

  #request(path: readonly string[], { method = "GET", query = {}, body }: Call, token: string): Promise<Response> {
    const given = Object.entries(query).filter(([, value]) => value !== undefined);
    const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
    const url = `${this.#url}/${path.map(encodeURIComponent).join("/")}${search && `?${search}`}`;
    const headers: Record<string, string> = { authorization: `Bearer ${token}` };
    if (body !== undefined) {
      headers["content-type"] = "application/json";
    }
    return this.#send(url, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) });
  }

  async #send(url: string, init: RequestInit): Promise<Response> {
    try {
      return await this.#fetch(url, init);
    } catch (cause) {
      if (cause instanceof Error && cause.name === "AbortError") {
        throw cause;
      }
      throw new ParleyError("connection_lost", "The server could not be reached", undefined, { cause });
    }
  }
}

/** Return the type of a file as the server takes it. Browsers do not know the types of many texts. */
function mediaType(file: File): string {
  const type = file.type.split(";")[0]!.trim().toLowerCase();
  return type === "" && /\.(txt|md|csv|log|ya?ml|toml|py|ts|tsx|sql|sh)$/i.test(file.name) ? "text/plain" : type;
}

/** Return the error of a problem document. API Gateway itself answers with `message` alone. */
async function problemOf(answer: Response): Promise<ParleyError> {
  type Problem = { code?: string; detail?: string; title?: string; message?: string; retryAfter?: number };
  const problem = (await answer.json().catch(() => ({}))) as Problem;
  const message = problem.detail ?? problem.title ?? problem.message ?? `The server has answered ${answer.status}`;
  return new ParleyError(problem.code ?? "http_failed", message, problem.retryAfter);
}
