/**
 * The messages of one chat, as its frames tell of them. Nothing here knows of connections or of messages that the
 * server has not acknowledged.
 */
import type {
  AssistantMessageCompleteData,
  AssistantMessagePartData,
  AssistantMessageStartData,
  AssistantMessageTokenData,
  CallAnsweredData,
  ChatJoinedData,
  HistoryData,
  MessageView,
  ResumePoint,
  UserMessageData,
} from "./frames.ts";
import {
  type Reply,
  type Step,
  emptyReply,
  knownParts,
  replay,
  resumePoint,
  showText,
  takeAnswer,
  takeEnd,
  takePart,
  takePiece,
  waitingCalls,
} from "./reply.ts";
import type { Message, Part, ReplyEvent } from "./types.ts";

/** An event of one reply. */
export interface Happened {
  readonly messageId: string;
  readonly event: ReplyEvent;
}

/** What follows from a frame. */
export interface Outcome {
  readonly events: readonly Happened[];
  /** Something got lost: join the chat again. */
  readonly missing?: boolean;
  /** A reply that is no longer shown. Nothing more comes of it. */
  readonly gone?: string;
}

const NOTHING: Outcome = { events: [] };
const LOST: Outcome = { events: [], missing: true };

/** The most times that one reply is fetched again because its end says that something is missing. */
const MAX_REPEATS = 3;

export class Transcript {
  /** The messages of the path that is shown, the oldest first, with the replies that are being made. */
  messages: readonly Message[] = [];
  hasMore = false;
  /** The reply that is being made, or that waits. */
  running: string | undefined;
  /** A message is acknowledged whose reply has not begun. */
  awaited = false;

  /** The replies that have no end yet, also stored ones that are being fetched. */
  readonly #live = new Map<string, Reply>();
  /** The replies whose later frames are ignored. */
  readonly #ended: Set<string>;
  readonly #repeats = new Map<string, number>();
  /** The replies in whose place live ones come. */
  readonly #replaced = new Map<string, string>();

  constructor(ignored: Iterable<string> = []) {
    this.#ended = new Set(ignored);
  }

  /** A reply is being made, waits, or is due. The server takes no message now. */
  get busy(): boolean {
    return this.running !== undefined || this.awaited;
  }

  /** The reply waits for the user. */
  get waiting(): boolean {
    const reply = this.running === undefined ? undefined : this.#live.get(this.running);
    return reply !== undefined && waitingCalls(reply.parts.values()).length > 0;
  }

  /** The ids of the replies of which frames may still come. */
  get liveReplies(): string[] {
    return [...this.#live.keys()];
  }

  find(messageId: string): Message | undefined {
    return this.messages.findLast((message) => message.id === messageId);
  }

  /** Return the reply to a message of the user, if it has begun. */
  replyTo(messageId: string): Message | undefined {
    const next = this.messages[this.#indexOf(messageId) + 1];
    return this.#indexOf(messageId) >= 0 && next?.role === "assistant" ? next : undefined;
  }

  /** Return the events that a reply has had, as if they came now. */
  eventsOf(messageId: string): ReplyEvent[] {
    const message = this.find(messageId);
    if (message === undefined) {
      return [];
    }
    const events: ReplyEvent[] = replay(
      messageId,
      this.#live.get(messageId)?.attempt ?? 1,
      message.text,
      message.parts,
    );
    return message.status === "done" ? [...events, { type: "end", message }] : events;
  }

  /** Return the reply to resume when the chat is joined: the one that runs, or else one that is fetched. */
  resume(): ResumePoint | undefined {
    const running = this.running ?? this.liveReplies.find((id) => this.find(id)?.status !== "loading");
    const reply = running === undefined ? undefined : this.#live.get(running);
    if (reply !== undefined) {
      return resumePoint(reply);
    }
    const loading = this.messages.findLast((message) => message.status === "loading");
    return loading && { messageId: loading.id, offset: 0 };
  }

  /** The chat has a message that is to be fetched. */
  get loads(): boolean {
    return !this.busy && this.messages.some((message) => message.status === "loading");
  }

  /** Fetch a stored reply with all its text and parts, at the next `resume()`. */
  load(messageId: string): void {
    this.#ended.delete(messageId);
    this.#change(messageId, (message) => ({ ...message, status: "loading" }));
  }

  /** Forget what is here of a reply, so that it is fetched from its beginning. */
  forget(messageId: string): void {
    const reply = this.#live.get(messageId);
    if (reply !== undefined) {
      this.#live.set(messageId, emptyReply(messageId, reply.attempt));
    }
  }

  /** Take `chat_joined`. `resumed` is the reply that the `join_chat` has asked for. */
  joined(data: ChatJoinedData, resumed?: string): Outcome {
    const events: Happened[] = [];
    const first = data.messages[0]?.messageId;
    const kept = first === undefined ? -1 : this.#indexOf(first);
    const page = data.messages.map((view) => this.#shown(view, resumed, events));
    if (kept <= 0) {
      this.hasMore = data.hasMore;
    }
    // The way to a message is the same on each path. So what was before the first one of the page still is.
    this.messages = [...this.messages.slice(0, Math.max(0, kept)), ...page];
    this.running = undefined;
    this.awaited = false;
    if (data.reply !== undefined && !this.#hasEnded(data.reply.messageId)) {
      this.running = data.reply.messageId;
      this.#begin(data.reply.messageId, data.reply.attempt, events);
    }
    const isGone =
      resumed !== undefined && this.#live.has(resumed) && resumed !== this.running && this.#indexOf(resumed) < 0;
    if (isGone) {
      this.#forgetLive(resumed);
      return { events, gone: resumed };
    }
    return { events };
  }

  /** Take a page of older messages, which was asked for with `before`. */
  history(data: HistoryData, before: string): Outcome {
    // In the meantime another path may be shown, or the page be there already.
    if (this.messages[0]?.id === before) {
      this.messages = [...data.messages.map((view) => messageOf(view)), ...this.messages];
      this.hasMore = data.hasMore;
    }
    return NOTHING;
  }

  /** Take a message of the user that the server has stored. */
  userMessage(data: UserMessageData): Outcome {
    if (this.#indexOf(data.messageId) >= 0) {
      this.#change(data.messageId, (message) => ({ ...message, ...tag(data) }));
      // Sent again, and shown before its first acknowledgement came: its reply may be here, or on its way.
      return this.busy || this.replyTo(data.messageId) !== undefined ? NOTHING : LOST;
    }
    let messages = [...this.messages];
    // A slow connection may hear of the message after its reply has begun.
    const early = messages.at(-1);
    const isFirst = messages.length === 1 && !this.hasMore;
    const isEarly = early?.role === "assistant" && (isFirst || messages.at(-2)?.role === "assistant");
    if (isEarly) {
      messages.pop();
    }
    const replaced = data.replaces === undefined ? -1 : messages.findIndex(({ id }) => id === data.replaces);
    let siblings: readonly string[] | undefined;
    if (replaced >= 0) {
      siblings = withSibling(messages[replaced]!, data.messageId);
      messages = messages.slice(0, replaced);
    }
    messages.push({
      id: data.messageId,
      role: "user",
      text: data.content,
      status: "done",
      parts: [],
      timestamp: data.timestamp,
      ...(data.attachments && { attachments: data.attachments }),
      ...(siblings && { siblings }),
      ...tag(data),
    });
    this.messages = isEarly ? [...messages, early] : messages;
    const isUnclear = data.duplicate === true || (data.replaces !== undefined && replaced < 0);
    this.awaited = !data.duplicate && !isEarly;
    return isUnclear ? LOST : NOTHING;
  }

  started(data: AssistantMessageStartData): Outcome {
    if (this.#hasEnded(data.messageId)) {
      return NOTHING;
    }
    const events: Happened[] = [];
    const isNew = this.#indexOf(data.messageId) < 0;
    // An earlier reply without an end is stored, or was replaced: `chat_joined` tells.
    const isSecond = isNew && this.liveReplies.some((id) => this.find(id)?.status !== "loading");
    if (this.find(data.messageId)?.status !== "loading" && (isNew || this.messages.at(-1)?.id === data.messageId)) {
      this.running = data.messageId;
      this.awaited = false;
    }
    this.#begin(data.messageId, data.attempt, events, data.replaces);
    const outcome = this.#take(data.messageId, (reply) => takePiece(reply, data, data.content), events);
    return isSecond ? { ...outcome, missing: true } : outcome;
  }

  token(data: AssistantMessageTokenData): Outcome {
    return this.#take(data.messageId, (reply) => takePiece(reply, data, data.token));
  }

  part(data: AssistantMessagePartData): Outcome {
    return this.#take(data.messageId, (reply) => takePart(reply, data));
  }

  answered(data: CallAnsweredData): Outcome {
    return this.#live.has(data.messageId) ? this.#take(data.messageId, (reply) => takeAnswer(reply, data)) : NOTHING;
  }

  completed(data: AssistantMessageCompleteData): Outcome {
    if (this.#hasEnded(data.messageId)) {
      return NOTHING;
    }
    const events: Happened[] = [];
    this.#begin(data.messageId, data.attempt, events);
    const repeats = this.#repeats.get(data.messageId) ?? 0;
    this.#repeats.set(data.messageId, repeats + 1);
    return this.#take(data.messageId, (reply) => takeEnd(reply, data, repeats >= MAX_REPEATS), events);
  }

  /** Have a reply in the list and among the live ones. */
  #begin(messageId: string, attempt: number, events: Happened[], replaces?: string): void {
    const known = this.find(messageId);
    if (known === undefined) {
      const message: Message = { id: messageId, role: "assistant", text: "", status: "running", parts: [] };
      this.messages = [...this.messages, message];
    }
    if (replaces !== undefined) {
      this.#replaced.set(messageId, replaces);
    }
    this.#dropReplaced(messageId);
    if (!this.#live.has(messageId)) {
      this.#live.set(messageId, emptyReply(messageId, attempt));
      if (known?.status !== "loading") {
        events.push({ messageId, event: { type: "start", messageId, attempt } });
      }
    }
    this.#refresh(messageId);
  }

  /** Until a reply is stored, pages show the one that it replaces. */
  #dropReplaced(messageId: string): void {
    const replaced = this.#indexOf(this.#replaced.get(messageId) ?? "");
    const index = this.#indexOf(messageId);
    if (replaced >= 0 && replaced < index) {
      const siblings = withSibling(this.messages[replaced]!, messageId);
      this.messages = [...this.messages.slice(0, replaced), ...this.messages.slice(index)];
      this.#change(messageId, (message) => ({ ...message, siblings }));
    }
  }

  #take(messageId: string, take: (reply: Reply) => Step, events: Happened[] = []): Outcome {
    const reply = this.#live.get(messageId);
    if (reply === undefined) {
      return this.#hasEnded(messageId) ? NOTHING : LOST;
    }
    const step = take(reply);
    const isLoading = this.find(messageId)?.status === "loading";
    if (!isLoading) {
      events.push(...step.events.map((event) => ({ messageId, event })));
    }
    this.#live.set(messageId, step.reply);
    this.#refresh(messageId);
    if (step.reply.end !== undefined) {
      this.#end(messageId, events);
    }
    return { events, missing: step.missing };
  }

  /** Bring the message of a live reply up to date. */
  #refresh(messageId: string): void {
    const reply = this.#live.get(messageId)!;
    this.#change(messageId, (message) => {
      const parts = knownParts(reply.parts.values());
      const { end } = reply;
      if (message.status === "loading" && end === undefined) {
        return reply.text.length > message.text.length ? { ...message, text: reply.text } : message;
      }
      const isWaiting = waitingCalls(parts).length > 0;
      const status = end !== undefined ? "done" : isWaiting ? "waiting" : "running";
      const { partCount: _, ...rest } = message;
      return { ...rest, text: reply.text, parts, status, ...(end && endOf(end)) };
    });
  }

  #end(messageId: string, events: Happened[]): void {
    const message = this.find(messageId);
    this.#forgetLive(messageId);
    if (message !== undefined) {
      events.push({ messageId, event: { type: "end", message } });
    }
  }

  #forgetLive(messageId: string): void {
    this.#live.delete(messageId);
    this.#repeats.delete(messageId);
    this.#replaced.delete(messageId);
    this.#ended.add(messageId);
    if (this.running === messageId) {
      this.running = undefined;
    }
  }

  /** Return a message of `chat_joined`, with what is known of it from before. */
  #shown(view: MessageView, resumed: string | undefined, events: Happened[]): Message {
    const known = this.find(view.messageId);
    const live = this.#live.get(view.messageId);
    if (live !== undefined && known !== undefined && (view.content === null || view.messageId === resumed)) {
      // The rest comes, with an end that says more than history.
      return known;
    }
    if (live !== undefined && view.content !== null) {
      const step = showText(live, [], view.content);
      events.push(...step.events.map((event) => ({ messageId: view.messageId, event })));
      const parts = live.parts.size >= (view.parts?.length ?? 0) ? knownParts(live.parts.values()) : undefined;
      const message = { ...messageOf(view), ...(parts && { parts }) };
      events.push({ messageId: view.messageId, event: { type: "end", message } });
      this.#forgetLive(view.messageId);
      return message;
    }
    return known === undefined ? messageOf(view) : updated(known, view);
  }

  #hasEnded(messageId: string): boolean {
    return this.#ended.has(messageId) || this.find(messageId)?.status === "done";
  }

  #indexOf(messageId: string): number {
    // From the end: it is nearly always the last one.
    return this.messages.findLastIndex(({ id }) => id === messageId);
  }

  #change(messageId: string, change: (message: Message) => Message): void {
    const index = this.#indexOf(messageId);
    if (index >= 0) {
      this.messages = this.messages.with(index, change(this.messages[index]!));
    }
  }
}

/** Return a stored message as a page shows it. */
export function messageOf(view: MessageView): Message {
  return {
    id: view.messageId,
    role: view.role,
    text: view.content ?? "",
    status: view.content === null ? "loading" : "done",
    parts: knownParts((view.parts ?? []) as readonly Part[]),
    timestamp: view.timestamp,
    ...(view.siblings && { siblings: view.siblings }),
    ...(view.attachments && { attachments: view.attachments }),
    ...(view.finishReason && { finishReason: view.finishReason }),
    ...(view.feedback && { feedback: view.feedback }),
    ...(view.partCount !== undefined && { partCount: view.partCount }),
  };
}

/** Return a known message with what a page says anew. The same object if that is nothing. */
function updated(known: Message, view: MessageView): Message {
  const { siblings, feedback, ...rest } = known;
  const isSame = feedback === view.feedback && String(siblings ?? []) === String(view.siblings ?? []);
  const isShorter = view.content === null || known.status === "loading" || known.text === view.content;
  if (isSame && isShorter) {
    return known;
  }
  const changing = {
    ...(view.siblings && { siblings: view.siblings }),
    ...(view.feedback && { feedback: view.feedback }),
  };
  return isShorter ? { ...rest, ...changing } : messageOf(view);
}

function endOf(end: AssistantMessageCompleteData): Partial<Message> {
  return {
    timestamp: end.timestamp,
    finishReason: end.finishReason,
    ...(end.usage && { usage: end.usage }),
    ...(end.cost && { cost: end.cost }),
  };
}

function withSibling(replaced: Message, messageId: string): readonly string[] {
  const siblings = replaced.siblings ?? [replaced.id];
  return siblings.includes(messageId) ? siblings : [...siblings, messageId];
}

function tag(data: UserMessageData): { clientMessageId?: string } {
  return data.clientMessageId === undefined || data.clientMessageId === null
    ? {}
    : { clientMessageId: data.clientMessageId };
}
