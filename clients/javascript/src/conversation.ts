/**
 * One chat over a connection that comes and goes: joining, what is asked of the server until it has answered, and the
 * messages. No I/O here: time comes in, frames go out through the sink.
 */
import { ParleyError } from "./errors.ts";
import type { ClientFrame, CreateChatData, ErrorData, JoinChat, ServerFrame, UserMessageData } from "./frames.ts";
import { Joins } from "./joins.ts";
import { type NewMessage, type Pending, withPending } from "./pending.ts";
import { ANSWER_PATIENCE, type Ask, type Request, Requests, frameOf, timeOf } from "./requests.ts";
import { type Happened, type Outcome, Transcript } from "./transcript.ts";
import type { ChatSnapshot, ChatState } from "./types.ts";

/** The world of a conversation. */
export interface ConversationSink {
  send(frame: ClientFrame): void;
  /** Something in the snapshot is new. */
  changed(): void;
  happened(events: readonly Happened[]): void;
  /** Nothing more comes of a reply. */
  gone(messageId: string, error: ParleyError): void;
  /** A request has its answer. `messageId` is that of the message, or of the reply for `regenerate`. */
  settled(requestId: string, messageId?: string): void;
  refused(requestId: string, error: ParleyError): void;
  /** The chat may be used, for the first time. */
  opened(): void;
  /** The chat can never be used again. */
  closed(error: ParleyError): void;
  id(): string;
}

const SECOND = 1000;
/** After this time without a word of a running reply, the chat is joined again. */
const SILENCE = 30 * SECOND;
/** The most tries of what is no message: a message is sent until it is acknowledged. */
const MAX_TRIES = 5;
/** A pause that the server asks for is waited for by the client itself up to this length, in seconds. */
const SHORT_PAUSE = 5;
const MAX_FRAME_BYTES = 32 * 1024;

export class Conversation {
  chatId: string | undefined;
  title = "";
  assistant = "";
  readonly transcript: Transcript;

  #phase: "offline" | "joining" | "joined" | "closed" = "offline";
  #isOpened = false;
  readonly #requests = new Requests();
  readonly #joins = new Joins();
  #pending: Pending[] = [];
  #heardAt = 0;
  #snapshot: ChatSnapshot | undefined;

  constructor(
    private readonly sink: ConversationSink,
    what: { chatId: string } | { create: CreateChatData; isRepeat: boolean },
    ignoredReplies: Iterable<string> = [],
  ) {
    this.transcript = new Transcript(ignoredReplies);
    if ("chatId" in what) {
      this.chatId = what.chatId;
    } else {
      this.#requests.add(sink.id(), { kind: "create", data: what.create, isRepeat: what.isRepeat });
    }
  }

  // What the application asks

  /** Send a message. Returns the id of the request. */
  send(message: NewMessage, now: number): string {
    const pending: Pending = { replaces: undefined, ...message };
    this.#pending = [...this.#pending, pending];
    return this.#askNow({ kind: "message", message: pending }, now);
  }

  /** Send a message again that has failed. Returns `undefined` if there is none. */
  retry(clientMessageId: string, now: number): string | undefined {
    const pending = this.#pending.find((each) => each.clientMessageId === clientMessageId && each.error);
    if (pending === undefined) {
      return undefined;
    }
    const { error: _, ...again } = pending;
    this.#pending = [...this.#pending.filter((each) => each !== pending), again];
    return this.#askNow({ kind: "message", message: again }, now);
  }

  /** Take a message back. Returns false if it was sent already, or there is none. */
  discard(clientMessageId: string): boolean {
    const pending = this.#pending.find((each) => each.clientMessageId === clientMessageId);
    const request = this.#requests.ofMessage(pending);
    if (pending === undefined || (request !== undefined && request.tries > 0)) {
      return false;
    }
    this.#drop(pending);
    if (request !== undefined) {
      this.#refuse(request, new ParleyError("discarded", "The message was taken back"));
    }
    this.#changed();
    return true;
  }

  regenerate(now: number): string {
    return this.#askNow({ kind: "regenerate", replaced: undefined }, now);
  }

  /** End the reply that runs, or take back the message that waits to be sent. */
  cancel(now: number): string {
    const first = this.#requests.firstTurn;
    if (!this.transcript.busy && first?.ask.kind === "message" && first.tries === 0) {
      this.discard(first.ask.message.clientMessageId);
    }
    return this.#askNow({ kind: "cancel", messageId: this.transcript.running }, now);
  }

  approve(callId: string, approved: boolean, now: number): string {
    return this.#askNow({ kind: "approve", callId, approved }, now);
  }

  select(messageId: string, now: number): string {
    return this.#askNow({ kind: "select", messageId, isSelected: false }, now);
  }

  /** Get older messages. Returns `undefined` if there are none. */
  loadMore(limit: number | undefined, now: number): string | undefined {
    const before = this.transcript.hasMore ? this.transcript.messages[0]?.id : undefined;
    return before === undefined ? undefined : this.#askNow({ kind: "history", before, limit }, now);
  }

  /** Get a reply with all its text and parts. */
  load(messageId: string, now: number): void {
    this.transcript.load(messageId);
    this.#joins.forgetResumed();
    this.#flush(now);
    this.#changed();
  }

  /** Give up what is not answered. With `isForever`, the chat is closed. */
  close(error: ParleyError, isForever: boolean): void {
    for (const request of this.#requests.all) {
      this.#refuse(request, error);
    }
    this.#joins.drop();
    this.#phase = isForever ? "closed" : "offline";
    this.#changed();
    if (isForever) {
      this.sink.closed(error);
    }
  }

  // The connection

  /** The connection is to be pinged often: somebody works on a reply. */
  get isActive(): boolean {
    return (
      (this.transcript.busy && !this.transcript.waiting) || this.#requests.all.some(({ ask }) => ask.kind === "message")
    );
  }

  /** Nothing is on its way that may bring a reply. */
  get isSettled(): boolean {
    return this.#phase === "joined" && this.#joins.dueAt === undefined && !this.transcript.busy;
  }

  isOpenRequest(requestId: string): boolean {
    return this.#requests.find(requestId) !== undefined;
  }

  /** The connection may be replaced without that anything has to be asked twice. */
  get isQuiet(): boolean {
    return !this.isActive && !this.#joins.isOnItsWay && this.#requests.sent.length === 0;
  }

  /** Return the `join_chat` of a new connection. What was asked on the old one is asked again. */
  joining(now: number): JoinChat {
    this.#requests.unsend(now);
    return this.chatId === undefined ? { type: "join_chat", requestId: this.sink.id() } : this.#joinFrame(now);
  }

  /** The connection has its user now. `isJoining`: the chat was joined with the same frame. */
  up(isJoining: boolean, now: number): void {
    if (this.chatId === undefined) {
      this.#phase = "joined";
      this.#flush(now);
    } else if (!isJoining) {
      this.#requests.unsend(now);
      this.#rejoin(now);
    }
    this.#changed();
  }

  /** The connection is lost. What was asked is asked again when it is back. */
  down(code: number, now: number): void {
    this.#phase = "offline";
    this.#joins.drop();
    const isOurFault = code === 1003 || code === 1009;
    for (const request of isOurFault ? this.#requests.sent : []) {
      this.#refuse(request, new ParleyError("frame_too_large", `The gateway has refused a frame (${code})`));
    }
    this.#requests.unsend(now);
    this.#changed();
  }

  /** The `join_chat` of a new connection was refused. Returns true if it is to be sent again at once. */
  joinRefused(error: ErrorData, now: number): boolean {
    const resumed = this.#joins.refused();
    if (error.code === "chat_not_found") {
      this.close(errorOf(error), true);
      return true;
    }
    if (error.code === "invalid_format" && resumed !== undefined) {
      // The reply is shorter than what is here of it: take it from its beginning.
      this.transcript.forget(resumed);
      return true;
    }
    this.#joins.dueAt = now + (error.retryAfter ?? 2) * SECOND;
    return false;
  }

  /** The gateway has failed with some frame. It does not say with which. */
  gatewayFailed(message: string, now: number): void {
    const { sent } = this.#requests;
    if (message === "Forbidden") {
      for (const request of sent) {
        this.#refuse(request, new ParleyError("gateway_forbidden", "The deployment has no route for this frame"));
      }
      return;
    }
    const pause = message === "Internal server error" || message === "Endpoint request timed out" ? 1 : 3;
    for (const request of sent) {
      request.notBefore = now + pause * SECOND;
    }
    this.#requests.unsend(now);
    if (this.#joins.isOnItsWay || sent.some(({ ask }) => ask.kind === "regenerate")) {
      this.#joins.dueAt = now + pause * SECOND;
    }
  }

  /** When `tick` is to be called, in milliseconds since 1970. `undefined`: when something else has happened. */
  get deadline(): number | undefined {
    const times = [this.#joins.dueAt, this.#joins.lateAt, this.#silentAt];
    if (this.#phase === "joined") {
      times.push(...this.#requests.due(this.transcript, this.chatId !== undefined).map(timeOf));
    }
    const known = times.filter((time) => time !== undefined);
    return this.#phase === "offline" || this.#phase === "closed" || known.length === 0 ? undefined : Math.min(...known);
  }

  /** Do what is due. */
  tick(now: number): void {
    if (this.#phase === "offline" || this.#phase === "closed") {
      return;
    }
    if ([this.#joins.lateAt, this.#joins.dueAt, this.#silentAt].some((time) => isPast(time, now))) {
      this.#rejoin(now);
      return;
    }
    for (const request of this.#requests.all) {
      if (this.#phase === "joined" && request.sentAt !== undefined && now >= request.sentAt + ANSWER_PATIENCE) {
        this.#repeat(request, now);
      }
    }
    this.#flush(now);
  }

  // Frames

  receive(frame: ServerFrame, now: number): void {
    if (this.#phase === "closed") {
      return;
    }
    const outcome = this.#take(frame, now);
    if (outcome === undefined) {
      return;
    }
    this.#heardAt = now;
    if (outcome.events.length > 0) {
      this.sink.happened(outcome.events);
    }
    if (outcome.gone !== undefined) {
      this.sink.gone(outcome.gone, new ParleyError("not_shown", "The chat does not show this reply any more"));
    }
    if (outcome.missing === true && this.#phase === "joined") {
      this.#joins.schedule(now);
    }
    this.#settleCancels();
    this.tick(now);
    this.#changed();
  }

  /** Take a frame. Returns `undefined` if it is none of this chat. */
  #take(frame: ServerFrame, now: number): Outcome | undefined {
    const { transcript } = this;
    const isOfOther = "chatId" in frame.data && frame.data.chatId !== this.chatId;
    if (this.chatId === undefined ? frame.type !== "chat_created" && frame.type !== "error" : isOfOther) {
      return undefined;
    }
    switch (frame.type) {
      case "chat_created":
        return this.#created(frame.requestId, frame.data, now);
      case "chat_joined":
        return this.#joined(frame.requestId, frame.data);
      case "chat_updated":
        this.title = frame.data.title;
        return NOTHING;
      case "chat_deleted":
        this.close(new ParleyError("chat_deleted", "The chat was deleted"), true);
        return undefined;
      case "history": {
        const request = this.#requests.find(frame.requestId);
        if (request?.ask.kind !== "history") {
          return NOTHING;
        }
        const outcome = transcript.history(frame.data, request.ask.before);
        this.#settle(request);
        return outcome;
      }
      case "user_message":
        return this.#userMessage(frame.data);
      case "branch_selected": {
        const request = this.#requests.find(frame.requestId);
        if (request?.ask.kind === "select") {
          request.ask.isSelected = true;
        }
        return { events: [], missing: true };
      }
      case "assistant_message_start": {
        const outcome = transcript.started(frame.data);
        const request = this.#requests.all.find(
          ({ ask }) => ask.kind === "regenerate" && ask.replaced === frame.data.replaces,
        );
        if (request !== undefined && request.tries > 0) {
          this.#settle(request, frame.data.messageId);
        }
        return outcome;
      }
      case "assistant_message_token":
        return transcript.token(frame.data);
      case "assistant_message_part":
        return transcript.part(frame.data);
      case "assistant_message_complete":
        return transcript.completed(frame.data);
      case "call_answered": {
        const request = this.#requests.find(frame.requestId);
        if (request !== undefined) {
          this.#settle(request);
        }
        return transcript.answered(frame.data);
      }
      case "error":
        return this.#error(frame.requestId, frame.data, now);
      default:
        return undefined;
    }
  }

  #created(requestId: string | undefined, data: { chatId: string; title: string; assistant: string }, now: number) {
    const request = this.#requests.find(requestId);
    if (request?.ask.kind !== "create") {
      return undefined;
    }
    Object.assign(this, { chatId: data.chatId, title: data.title, assistant: data.assistant });
    this.#settle(request);
    if (request.ask.isRepeat || request.tries > 1) {
      // It may be an old chat with messages, which `chat_created` does not show.
      this.#rejoin(now);
    } else {
      this.#open();
    }
    return NOTHING;
  }

  #joined(requestId: string | undefined, data: Parameters<Transcript["joined"]>[0]): Outcome | undefined {
    if (!this.#joins.isNewest(requestId)) {
      return undefined;
    }
    const resumed = this.#joins.answered();
    this.#phase = "joined";
    this.title = data.title;
    this.assistant = data.assistant;
    const known = new Set(this.transcript.messages.map(({ id }) => id));
    const outcome = this.transcript.joined(data, resumed);
    this.#hideShown(known);
    this.#settleRegenerates();
    for (const request of this.#requests.all.filter(({ ask }) => ask.kind === "select" && ask.isSelected)) {
      this.#settle(request);
    }
    this.#open();
    return outcome;
  }

  /** A message that was sent before the connection was lost may be among the new ones of the page. */
  #hideShown(known: ReadonlySet<string>): void {
    const fresh = this.transcript.messages.filter(({ id, role }) => role === "user" && !known.has(id));
    for (const { ask, tries } of this.#requests.all) {
      const found = ask.kind === "message" && tries > 0 && fresh.find(({ text }) => text === ask.message.text);
      if (found) {
        ask.message.shownAs = found.id;
      }
    }
  }

  #userMessage(data: UserMessageData): Outcome {
    const outcome = this.transcript.userMessage(data);
    const pending = this.#pending.find((each) => each.clientMessageId === data.clientMessageId);
    if (pending !== undefined) {
      this.#drop(pending);
      const request = this.#requests.ofMessage(pending);
      if (request !== undefined) {
        this.#settle(request, data.messageId);
      }
    }
    return outcome;
  }

  #error(requestId: string | undefined, data: ErrorData, now: number): Outcome | undefined {
    if (this.#joins.awaits(requestId)) {
      if (this.joinRefused(data, now)) {
        this.#joins.dueAt = now;
      }
      return this.#phase === "closed" ? undefined : NOTHING;
    }
    const request = this.#requests.find(requestId);
    if (request === undefined) {
      return undefined;
    }
    const { kind } = request.ask;
    request.sentAt = undefined;
    if (kind === "message" && data.code === "busy") {
      // Another device was faster. The end of its reply comes, or silence.
      request.notBefore = now + Math.min(8, 2 ** request.tries) * SECOND;
    } else if (data.code === "not_authenticated" && request.tries < MAX_TRIES) {
      this.#joins.dueAt = now;
    } else if (data.retryAfter !== undefined && data.retryAfter <= SHORT_PAUSE && request.tries < MAX_TRIES) {
      request.notBefore = now + data.retryAfter * SECOND;
    } else if (kind === "cancel" && data.code === "nothing_to_cancel") {
      this.#settle(request);
      return { events: [], missing: this.transcript.running !== undefined };
    } else if (kind === "approve" && data.code === "nothing_to_approve" && request.tries > 1) {
      // It was carried out the first time, and the reply has gone on.
      this.#settle(request);
      return { events: [], missing: true };
    } else {
      this.#refuse(request, errorOf(data));
      return { events: [], missing: data.code === "nothing_to_approve" };
    }
    return NOTHING;
  }

  // Requests

  #askNow(ask: Ask, now: number): string {
    const { requestId } = this.#requests.add(this.sink.id(), ask);
    this.#flush(now);
    this.#changed();
    return requestId;
  }

  /** Send what may be sent. */
  #flush(now: number): void {
    if (this.#phase !== "joined" || this.#joins.dueAt !== undefined) {
      return;
    }
    this.#settleCancels();
    for (const request of this.#requests.all) {
      if (
        request.sentAt === undefined &&
        request.notBefore <= now &&
        this.#requests.isDue(request, this.transcript, this.chatId !== undefined)
      ) {
        this.#transmit(request, now);
      }
    }
    const hasLoaded = !this.transcript.loads || this.#joins.hasResumed(this.transcript.resume()?.messageId);
    if (!hasLoaded && this.#requests.all.length === 0) {
      this.#rejoin(now);
    }
  }

  #transmit(request: Request, now: number): void {
    const frame = frameOf(request, this.transcript);
    if (new TextEncoder().encode(JSON.stringify(frame)).length > MAX_FRAME_BYTES) {
      this.#refuse(request, new ParleyError("frame_too_large", "The message is over 32 KB"));
      return;
    }
    request.sentAt = now;
    request.tries += 1;
    this.sink.send(frame);
  }

  /** Nobody has answered a request. */
  #repeat(request: Request, now: number): void {
    if (request.ask.kind === "regenerate") {
      // To ask twice would make two replies. The chat shows whether it was carried out.
      request.sentAt = undefined;
      this.#rejoin(now);
    } else if (request.ask.kind !== "message" && request.ask.kind !== "create" && request.tries >= MAX_TRIES) {
      this.#refuse(request, new ParleyError("no_answer", "The server does not answer"));
    } else {
      this.#transmit(request, now);
    }
  }

  /** After a join: what was made anew stands in the chat. */
  #settleRegenerates(): void {
    for (const request of this.#requests.all) {
      const { ask, sentAt, tries } = request;
      const last = this.transcript.messages.at(-1);
      if (ask.kind === "regenerate" && tries > 0 && sentAt === undefined && last && last.id !== ask.replaced) {
        this.#settle(request, last.id);
      }
    }
  }

  /** A reply that has ended need not be cancelled. A message that is on its way is waited for. */
  #settleCancels(): void {
    const turn = this.#requests.firstTurn;
    for (const request of this.#requests.all) {
      const { ask } = request;
      if (ask.kind === "cancel") {
        const isOver = ask.messageId !== undefined && ask.messageId !== this.transcript.running;
        const hasNothing = !this.transcript.busy && (turn === undefined || turn.tries === 0);
        if (isOver || hasNothing) {
          this.#settle(request);
        }
      }
    }
  }

  #settle(request: Request, messageId?: string): void {
    this.#requests.remove(request);
    this.sink.settled(request.requestId, messageId);
  }

  #refuse(request: Request, error: ParleyError): void {
    this.#requests.remove(request);
    if (request.ask.kind === "message") {
      const pending = request.ask.message;
      if (pending.replaces === undefined && this.#pending.includes(pending)) {
        pending.error = error;
        delete pending.shownAs;
      } else {
        // An edit that failed leaves what was there.
        this.#drop(pending);
      }
    }
    this.sink.refused(request.requestId, error);
    if (request.ask.kind === "create") {
      this.close(error, true);
    }
  }

  #drop(pending: Pending): void {
    this.#pending = this.#pending.filter((each) => each !== pending);
  }

  // Joining

  #rejoin(now: number): void {
    if (this.chatId !== undefined) {
      this.sink.send(this.#joinFrame(now));
    }
  }

  #joinFrame(now: number): JoinChat {
    const resume = this.transcript.resume();
    const requestId = this.sink.id();
    this.#joins.sent(requestId, resume?.messageId, now);
    this.#phase = "joining";
    return { type: "join_chat", requestId, data: { chatId: this.chatId!, ...(resume && { resume }) } };
  }

  /** When a reply of which nothing is heard was silent for too long. */
  get #silentAt(): number | undefined {
    const isAwaited = (this.transcript.busy && !this.transcript.waiting) || this.transcript.loads;
    return this.#phase === "joined" && isAwaited ? this.#heardAt + SILENCE : undefined;
  }

  #open(): void {
    if (!this.#isOpened) {
      this.#isOpened = true;
      this.sink.opened();
    }
  }

  // The view

  get snapshot(): ChatSnapshot {
    const { running, hasMore } = this.transcript;
    this.#snapshot ??= {
      state: this.#state(),
      title: this.title,
      assistant: this.assistant,
      messages: withPending(this.transcript.messages, this.#pending),
      hasMore,
      ...(running !== undefined && { replyId: running }),
    };
    return this.#snapshot;
  }

  #state(): ChatState {
    if (this.#phase === "closed" || this.#phase === "offline") {
      return this.#phase === "offline" && !this.#isOpened ? "joining" : this.#phase;
    }
    if (!this.#isOpened) {
      return "joining";
    }
    return this.transcript.waiting ? "waiting" : this.transcript.busy ? "replying" : "ready";
  }

  #changed(): void {
    this.#snapshot = undefined;
    this.sink.changed();
  }
}

const NOTHING: Outcome = { events: [] };

function isPast(time: number | undefined, now: number): boolean {
  return time !== undefined && now >= time;
}

function errorOf(data: ErrorData): ParleyError {
  return new ParleyError(data.code, data.message, data.retryAfter ?? undefined);
}
