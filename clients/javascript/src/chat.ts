import { Conversation, type ConversationSink } from "./conversation.ts";
import { ParleyError } from "./errors.ts";
import { Deferred, call } from "./events.ts";
import type { ClientFrame, CreateChatData } from "./frames.ts";
import { OpenTurn } from "./turn.ts";
import type { ChatSnapshot, Message, SendOptions, Turn } from "./types.ts";

/** The client, as a chat sees it. */
export interface ChatHost {
  id(): string;
  now(): number;
  send(frame: ClientFrame): void;
  /** Do something that may change when something is due next. */
  act(action: () => void): void;
  /** The chat needs its connection no more. */
  closed(): void;
}

/** An open chat. `ParleyClient` makes it. Its methods may be called offline: what they ask is sent later. */
export class Chat {
  readonly #host: ChatHost;
  readonly #conversation: Conversation;
  readonly #listeners = new Set<() => void>();
  readonly #answers = new Map<string, Deferred<void>>();
  readonly #loads = new Map<string, Deferred<Message>>();
  readonly #turns = new Map<string, OpenTurn>();
  readonly #opened = new Deferred<void>();
  #older: Promise<void> | undefined;

  /** @internal */
  constructor(
    host: ChatHost,
    what: { chatId: string } | { create: CreateChatData; isRepeat: boolean },
    foreign: Iterable<string>,
  ) {
    this.#host = host;
    const sink: ConversationSink = {
      id: () => host.id(),
      send: (frame) => host.send(frame),
      changed: () => this.#changed(),
      happened: (events) => {
        for (const { messageId, event } of events) {
          this.#turnsOf(messageId).forEach((turn) => turn.happened(event));
        }
      },
      gone: (messageId, error) => this.#turnsOf(messageId).forEach((turn) => turn.fail(error)),
      settled: (requestId, messageId) => this.#settled(requestId, messageId),
      refused: (requestId, error) => this.#refused(requestId, error),
      opened: () => {
        this.isOpened = true;
        this.#opened.resolve();
      },
      closed: (error) => this.#closed(error),
    };
    this.#conversation = new Conversation(sink, what, foreign);
  }

  /** @internal */
  get conversation(): Conversation {
    return this.#conversation;
  }

  /** @internal Resolved when the chat may be used. */
  get opened(): Promise<void> {
    return this.#opened.promise;
  }

  /** @internal */
  isOpened = false;

  /** @internal Give up what was asked, because the client was closed. */
  giveUp(error: ParleyError, isForever: boolean): void {
    this.#conversation.close(error, isForever);
    this.#failAll(error);
  }

  get id(): string {
    return this.#conversation.chatId ?? "";
  }

  get title(): string {
    return this.#conversation.title;
  }

  get assistant(): string {
    return this.#conversation.assistant;
  }

  /** The chat as it is now. The same object until something changes. */
  get snapshot(): ChatSnapshot {
    return this.#conversation.snapshot;
  }

  /** Call the listener after each change. Returns a function that ends this. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Send a message. While a reply is made, it waits for the end of the reply. */
  send(text: string, options: SendOptions = {}): Turn {
    return this.#send(text, options);
  }

  /** Put a message into the place of one of the user's, and have it answered. */
  edit(messageId: string, text: string, options: SendOptions = {}): Turn {
    return this.#send(text, options, messageId);
  }

  /** Make the last reply again. The old one stays, as a sibling. */
  regenerate(): Turn {
    return this.#turn(undefined, (now) => this.#conversation.regenerate(now));
  }

  /** Return the reply that runs or waits now, `undefined` if there is none. */
  resume(): Turn | undefined {
    const { running } = this.#conversation.transcript;
    if (running === undefined) {
      return undefined;
    }
    const turn = new OpenTurn((id) => this.#conversation.transcript.eventsOf(id));
    turn.accept(running);
    turn.begin(running);
    this.#turns.set(this.#host.id(), turn);
    return turn;
  }

  /** End the reply that runs or waits. It keeps the text that there is. Nothing happens if there is none. */
  cancel(): Promise<void> {
    return this.#request((now) => this.#conversation.cancel(now));
  }

  /** Answer for a call of a tool that waits for the user. */
  approve(callId: string, approved: boolean): Promise<void> {
    return this.#request((now) => this.#conversation.approve(callId, approved, now));
  }

  /** Show the branch of a sibling. Resolved when it is shown. */
  select(messageId: string): Promise<void> {
    return this.#request((now) => this.#conversation.select(messageId, now));
  }

  /** Get older messages, up to 100 at once. Nothing happens if there are none. */
  loadMore(limit?: number): Promise<void> {
    this.#older ??= this.#request((now) => this.#conversation.loadMore(limit, now)).finally(() => {
      this.#older = undefined;
    });
    return this.#older;
  }

  /** Get a stored reply with all its text and parts: history has long ones only in part. */
  load(messageId: string): Promise<Message> {
    const message = this.#conversation.transcript.find(messageId);
    if (message === undefined || message.role === "user") {
      return Promise.reject(new ParleyError("not_shown", "The chat shows no such reply"));
    }
    const loaded = this.#loads.get(messageId) ?? new Deferred<Message>();
    this.#loads.set(messageId, loaded);
    if (message.status === "done") {
      this.#host.act(() => this.#conversation.load(messageId, this.#host.now()));
    }
    return loaded.promise;
  }

  /** Send a message again that has failed. */
  retry(clientMessageId: string): Turn {
    return this.#turn(clientMessageId, (now) => this.#conversation.retry(clientMessageId, now));
  }

  /** Take a message back that has failed, or that was not sent yet. Returns false if it is too late. */
  discard(clientMessageId: string): boolean {
    let isTakenBack = false;
    this.#host.act(() => {
      isTakenBack = this.#conversation.discard(clientMessageId);
    });
    return isTakenBack;
  }

  /** Leave the chat. A reply goes on at the server. Messages that were not acknowledged fail with `chat_closed`. */
  close(): void {
    if (this.snapshot.state !== "closed") {
      this.giveUp(new ParleyError("chat_closed", "The chat was closed"), true);
    }
  }

  #send(text: string, options: SendOptions, replaces?: string): Turn {
    const clientMessageId = options.clientMessageId ?? this.#host.id();
    const message = { text, clientMessageId, attachments: options.attachments ?? [], replaces };
    return this.#turn(clientMessageId, (now) => this.#conversation.send(message, now));
  }

  #turn(clientMessageId: string | undefined, ask: (now: number) => string | undefined): Turn {
    const turn = new OpenTurn((id) => this.#conversation.transcript.eventsOf(id), clientMessageId);
    if (this.snapshot.state === "closed") {
      turn.fail(new ParleyError("chat_closed", "The chat is closed"));
      return turn;
    }
    // The answer may come before the request has its turn: a message that is too large is refused at once.
    this.#asking = turn;
    this.#host.act(() => {
      const requestId = ask(this.#host.now());
      if (requestId === undefined) {
        turn.fail(new ParleyError("not_shown", "There is no such message"));
      } else if (!turn.isOver) {
        this.#turns.set(requestId, turn);
      }
    });
    this.#asking = undefined;
    return turn;
  }

  #asking: OpenTurn | undefined;

  #request(ask: (now: number) => string | undefined): Promise<void> {
    if (this.snapshot.state === "closed") {
      return Promise.reject(new ParleyError("chat_closed", "The chat is closed"));
    }
    const answer = new Deferred<void>();
    this.#host.act(() => {
      const requestId = ask(this.#host.now());
      if (requestId === undefined || !this.#conversation.isOpenRequest(requestId)) {
        answer.resolve();
      } else {
        this.#answers.set(requestId, answer);
      }
    });
    return answer.promise;
  }

  #settled(requestId: string, messageId: string | undefined): void {
    this.#answers.get(requestId)?.resolve();
    this.#answers.delete(requestId);
    const turn = this.#turns.get(requestId);
    if (turn !== undefined && messageId !== undefined) {
      turn.messageId = messageId;
      turn.accept(messageId);
    }
  }

  #refused(requestId: string, error: ParleyError): void {
    this.#answers.get(requestId)?.reject(error);
    this.#answers.delete(requestId);
    (this.#turns.get(requestId) ?? this.#asking)?.fail(error);
    this.#turns.delete(requestId);
  }

  #turnsOf(replyId: string): OpenTurn[] {
    return [...this.#turns.values()].filter((turn) => turn.replyId === replyId);
  }

  #closed(error: ParleyError): void {
    this.#failAll(error);
    this.#host.closed();
  }

  #failAll(error: ParleyError): void {
    this.#opened.reject(error);
    for (const waiting of [...this.#answers.values(), ...this.#loads.values()]) {
      waiting.reject(error);
    }
    for (const turn of this.#turns.values()) {
      turn.fail(error);
    }
    this.#answers.clear();
    this.#loads.clear();
    this.#turns.clear();
  }

  /** Bring turns and their replies together, and tell the listeners. */
  #changed(): void {
    const { transcript } = this.#conversation;
    for (const [key, turn] of this.#turns) {
      this.#follow(turn);
      if (turn.isOver) {
        this.#turns.delete(key);
      }
    }
    for (const [messageId, loaded] of this.#loads) {
      const message = transcript.find(messageId);
      if (message?.status === "done") {
        loaded.resolve(message);
        this.#loads.delete(messageId);
      } else if (message === undefined) {
        loaded.reject(new ParleyError("not_shown", "The chat does not show this reply any more"));
        this.#loads.delete(messageId);
      }
    }
    for (const listener of [...this.#listeners]) {
      call(listener);
    }
  }

  #follow(turn: OpenTurn): void {
    const { transcript } = this.#conversation;
    if (turn.isOver || (turn.messageId === undefined && turn.replyId === undefined)) {
      return;
    }
    if (turn.replyId === undefined) {
      const stored = transcript.find(turn.messageId!);
      const reply = stored?.role === "assistant" ? stored : transcript.replyTo(turn.messageId!);
      if (reply !== undefined) {
        turn.begin(reply.id);
      } else if (this.#conversation.isSettled) {
        turn.fail(new ParleyError("not_shown", "The chat does not show the reply: another branch is shown"));
        return;
      }
    }
    const reply = turn.replyId === undefined ? undefined : transcript.find(turn.replyId);
    if (reply?.status === "done") {
      turn.end(reply);
    }
  }
}
