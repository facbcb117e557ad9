import type { ChatTransport, UIMessage, UIMessageChunk } from "ai";
import { approve, ask, cancel, type Ids, onAbort, unlessAborted } from "../adapters/ask.ts";
import { Chats, type NewChat } from "../adapters/chats.ts";
import { eventsOf, follow, inReadingOrder, type Timers } from "../adapters/follow.ts";
import type { Shown } from "../adapters/progress.ts";
import type { Chat } from "../chat.ts";
import type { ParleyClient } from "../client.ts";
import { ParleyError } from "../errors.ts";
import type { HttpApi } from "../http.ts";
import { systemRuntime } from "../runtime.ts";
import type { ReplyEvent } from "../types.ts";
import { Chunks } from "./chunks.ts";
import { type ParleyUIMessage, shownOf } from "./messages.ts";
import { type Approval, requestOf } from "./request.ts";

export interface ParleyChatTransportOptions extends NewChat {
  client: ParleyClient;
  /** The HTTP API (`client.http(url)`), to send files. */
  http?: HttpApi;
  /** The timers, for tests. */
  timers?: Timers;
}

type SendMessages<M extends UIMessage> = Parameters<ChatTransport<M>["sendMessages"]>[0];
type Reconnect<M extends UIMessage> = Parameters<ChatTransport<M>["reconnectToStream"]>[0];

/** The transport of the AI SDK's chats (`useChat`, `Chat`) to Parley. One may serve any number of chats. */
export class ParleyChatTransport<M extends UIMessage = ParleyUIMessage> implements ChatTransport<M> {
  /** A stream that is resumed has the reply from its beginning. */
  readonly resumeStreamIsReplay = true;

  readonly #chats: Chats;
  readonly #http: HttpApi | undefined;
  readonly #timers: Timers;
  readonly #ids: Ids = new Map();
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
    const chat = await unlessAborted(this.#chats.findOrCreate(chatId), abortSignal);
    const request = requestOf(asked, chat.snapshot.messages, this.#ids);
    if (request.type === "approve") {
      return this.#approve(chat, request, abortSignal);
    }
    const turn = await ask(chat, request, { ids: this.#ids, http: this.#http, signal: abortSignal });
    onAbort(abortSignal, turn, () => cancel(chat));
    return this.#stream(turn.events);
  }

  async reconnectToStream({ chatId, abortSignal }: Reconnect<M>): Promise<ReadableStream<UIMessageChunk> | null> {
    const count = (this.#resumed.get(chatId) ?? 0) + 1;
    this.#resumed.set(chatId, count);
    const chat = await unlessAborted(this.#chats.find(chatId), abortSignal);
    const turn = chat?.resume();
    if (!chat || !turn) {
      return null;
    }
    onAbort(abortSignal, turn, () => void this.#stopResumed(chatId, count, chat));
    return this.#stream(inReadingOrder(turn.events, this.#timers));
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
    { answers, reply }: Approval,
    abortSignal: AbortSignal | undefined,
  ): Promise<ReadableStream<UIMessageChunk>> {
    const turn = chat.resume();
    if (turn === undefined) {
      const ended = chat.snapshot.messages.find(({ id }) => id === reply.id);
      if (ended === undefined) {
        throw new ParleyError("nothing_to_approve", "The reply is not shown any more: another branch is.");
      }
      return this.#stream(eventsOf(ended), shownOf(reply)); // Another device has answered.
    }
    for (const { callId, approved } of answers) {
      await unlessAborted(approve(chat, callId, approved), abortSignal, () => cancel(chat));
    }
    onAbort(abortSignal, turn, () => cancel(chat));
    return this.#stream(turn.events, shownOf(reply));
  }

  #stream(events: AsyncIterable<ReplyEvent>, shown?: Shown): ReadableStream<UIMessageChunk> {
    const happenings = follow(events, this.#timers, shown);
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
