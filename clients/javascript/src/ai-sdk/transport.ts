import type { ChatTransport, UIMessage, UIMessageChunk } from "ai";
import { Chats, type NewChat } from "../adapters/chats.ts";
import { type FileAt, uploadAll } from "../adapters/files.ts";
import { follow, type Timers } from "../adapters/follow.ts";
import type { Shown } from "../adapters/progress.ts";
import type { Chat } from "../chat.ts";
import type { ParleyClient } from "../client.ts";
import { ParleyError } from "../errors.ts";
import type { HttpApi } from "../http.ts";
import { systemRuntime } from "../runtime.ts";
import type { SendOptions, Turn } from "../types.ts";
import { Chunks } from "./chunks.ts";
import { type ParleyUIMessage, shownOf } from "./messages.ts";
import { type Question, type Request, requestOf } from "./request.ts";

export interface ParleyChatTransportOptions extends NewChat {
  client: ParleyClient;
  /** The HTTP API (`client.http(url)`), to send files. */
  http?: HttpApi;
  /** The timers, for tests. */
  timers?: Timers;
}

type SendMessages<M extends UIMessage> = Parameters<ChatTransport<M>["sendMessages"]>[0];
type Reconnect<M extends UIMessage> = Parameters<ChatTransport<M>["reconnectToStream"]>[0];

const MAX_CLIENT_ID = 64;

/** The transport of the AI SDK's chats (`useChat`, `Chat`) to Parley. One may serve any number of chats. */
export class ParleyChatTransport<M extends UIMessage = ParleyUIMessage> implements ChatTransport<M> {
  /** A stream that is resumed has the reply from its beginning. */
  readonly resumeStreamIsReplay = true;

  readonly #chats: Chats;
  readonly #http: HttpApi | undefined;
  readonly #timers: Timers;
  /** The ids of messages on the screen that are not the server's. */
  readonly #ids = new Map<string, string | null>();
  /** How often a stream of a chat was resumed. */
  readonly #resumed = new Map<string, number>();

  constructor({ client, http, timers, ...newChat }: ParleyChatTransportOptions) {
    this.#chats = new Chats(client, newChat);
    this.#http = http;
    this.#timers = timers ?? systemRuntime;
  }

  /** Return the chat of a chat's id (`useChat({ id })`), `undefined` before the first message of a new one. */
  chat(chatId: string): Promise<Chat | undefined> {
    return this.#chats.find(chatId);
  }

  async sendMessages({ chatId, abortSignal, ...asked }: SendMessages<M>): Promise<ReadableStream<UIMessageChunk>> {
    const chat = await this.#chats.findOrCreate(chatId);
    abortSignal?.throwIfAborted();
    const request = requestOf(asked, chat.snapshot.messages, this.#ids);
    if (request.type === "approve") {
      return this.#approve(chat, request, abortSignal);
    }
    if (chat.snapshot.messages.some((message) => message.status === "waiting")) {
      // Who writes something else does not want the calls that wait.
      await chat.cancel();
    }
    const turn = await this.#ask(chat, request, abortSignal);
    onAbort(abortSignal, turn, () => cancel(chat));
    return this.#stream(turn);
  }

  async reconnectToStream({ chatId, abortSignal }: Reconnect<M>): Promise<ReadableStream<UIMessageChunk> | null> {
    const count = (this.#resumed.get(chatId) ?? 0) + 1;
    this.#resumed.set(chatId, count);
    const chat = await this.#chats.find(chatId);
    const turn = chat?.resume();
    if (!chat || !turn || abortSignal?.aborted) {
      return null;
    }
    onAbort(abortSignal, turn, () => void this.#stopResumed(chatId, count, chat));
    return this.#stream(turn);
  }

  /**
   * Cancel a reply whose resumed stream was aborted by `stop()`. The AI SDK aborts it too if it resumes the stream once
   * more, as React's strict mode makes it do. Then it has done so before the next microtask, and the reply goes on.
   */
  async #stopResumed(chatId: string, count: number, chat: Chat): Promise<void> {
    await Promise.resolve();
    if (this.#resumed.get(chatId) === count) {
      cancel(chat);
    }
  }

  async #approve(
    chat: Chat,
    { answers, reply }: Extract<Request, { type: "approve" }>,
    abortSignal: AbortSignal | undefined,
  ): Promise<ReadableStream<UIMessageChunk>> {
    const turn = chat.resume();
    if (turn === undefined) {
      throw new ParleyError("nothing_to_approve", "The reply waits for no answer. Tools run at the server: it takes no results.");
    }
    for (const { callId, approved } of answers) {
      await chat.approve(callId, approved);
    }
    onAbort(abortSignal, turn, () => cancel(chat));
    return this.#stream(turn, shownOf(reply));
  }

  /** Send what is asked for. Returns the turn once the server has stored the message. */
  async #ask(
    chat: Chat,
    request: Exclude<Request, { type: "approve" }>,
    abortSignal: AbortSignal | undefined,
  ): Promise<Turn> {
    if (request.type === "regenerate") {
      const turn = chat.regenerate();
      await turn.accepted;
      return turn;
    }
    const { question } = request;
    const attachments =
      request.type === "edit" && request.attachments
        ? request.attachments
        : await this.#attach(chat, question, abortSignal);
    abortSignal?.throwIfAborted();
    const options: SendOptions = attachments.length > 0 ? { attachments } : {};
    // The same message has the same id, so that it is stored once. An edited one is another message.
    const turn =
      request.type === "edit"
        ? chat.edit(request.messageId, question.text, options)
        : chat.send(question.text, question.id.length <= MAX_CLIENT_ID ? { ...options, clientMessageId: question.id } : options);
    this.#ids.set(question.id, request.type === "edit" ? request.messageId : null);
    const discard = () => turn.clientMessageId !== undefined && chat.discard(turn.clientMessageId);
    abortSignal?.addEventListener("abort", discard, { once: true });
    try {
      const { messageId } = await turn.accepted;
      this.#ids.set(question.id, messageId);
    } catch (error) {
      discard();
      throw error;
    } finally {
      abortSignal?.removeEventListener("abort", discard);
    }
    return turn;
  }

  /** Upload the files of a message that are not uploaded yet. Returns the ids of all, in order. */
  async #attach(chat: Chat, { files }: Question, signal: AbortSignal | undefined): Promise<string[]> {
    const isNew = (file: Question["files"][number]): file is FileAt => !("attachmentId" in file);
    const ids = await uploadAll(this.#http, chat.id, files.filter(isNew), signal);
    return files.map((file) => (isNew(file) ? ids.shift()! : file.attachmentId));
  }

  #stream(turn: Turn, shown?: Shown): ReadableStream<UIMessageChunk> {
    const happenings = follow(turn, this.#timers, shown);
    const chunks = new Chunks();
    return new ReadableStream<UIMessageChunk>({
      async pull(controller) {
        // A pull that brings nothing may be the last one, so it goes on until there is a chunk.
        for (let found: UIMessageChunk[] = []; found.length === 0; ) {
          const { value, done } = await happenings.next();
          if (done) {
            controller.close();
            return;
          }
          found = chunks.of(value);
          for (const chunk of found) {
            controller.enqueue(chunk);
          }
        }
      },
      cancel() {
        // The reply goes on at the server. A reader that comes back resumes it.
        void happenings.return(undefined);
      },
    });
  }
}

/** Call an action when a signal is aborted, also if it is aborted already, but not once the reply is over. */
function onAbort(signal: AbortSignal | undefined, turn: Turn, action: () => void): void {
  if (signal?.aborted) {
    action();
    return;
  }
  signal?.addEventListener("abort", action, { once: true });
  const forget = () => signal?.removeEventListener("abort", action);
  turn.reply.then(forget, forget); // The error of a reply comes out of `events`.
}

/** End the reply that runs. That it has just ended by itself is no failure. */
function cancel(chat: Chat): void {
  chat.cancel().catch(() => {});
}
