/**
 * A Parley server in the test's own process, on a simulated clock: it keeps chats and makes replies by a script, as
 * docs/protocol.md says. A test may let a connection die at any frame.
 */
import type {
  AssistantMessageCompleteData,
  ClientFrame,
  CreateChatData,
  MessageView,
  Part,
  ResumePoint,
  ServerFrame,
} from "../../src/frames.ts";
import type { Socket } from "../../src/link.ts";
import type { World } from "./world.ts";

/** A step of a reply: more text, a part as it is then, a call that waits for its user, or a new attempt. */
export type Step = string | { index: number; part: Part } | { waitFor: string } | "NEW ATTEMPT";

interface Stored {
  view: MessageView & { content: string };
  after: string;
  clientMessageId?: string;
  attempt: number;
  end?: AssistantMessageCompleteData;
}

interface Reply {
  messageId: string;
  attempt: number;
  text: string;
  parts: Map<number, { offset: number; part: Part }>;
  steps: Step[];
  replaces: string | undefined;
  after: string;
  isWaiting: boolean;
  answers: Map<string, boolean>;
}

interface Chat {
  chatId: string;
  title: string;
  messages: Map<string, Stored>;
  leaf: string;
  /** The end of the path that goes through a message, as it was when it was left. */
  leaves: Map<string, string>;
  reply?: Reply;
}

const FIRST = "-";
const LATENCY = 10;
const PACE = 50;
type Listener = (event: { data?: string; code?: number }) => void;

/** Both ends of one connection. */
export class Connection implements Socket {
  readonly listeners = new Map<string, Listener[]>();
  state: "opening" | "open" | "closed" = "opening";
  user: string | undefined;
  chat: Chat | undefined;
  readonly id: string;

  constructor(
    readonly server: Server,
    readonly number: number,
  ) {
    this.id = `connection-${number}`;
  }

  addEventListener(type: string, listener: Listener): void {
    this.listeners.set(type, [...(this.listeners.get(type) ?? []), listener]);
  }

  send(text: string): void {
    this.server.sent(this, JSON.parse(text) as ClientFrame);
  }

  close(): void {
    this.state = "closed";
    this.server.connections.delete(this);
  }

  tell(type: string, event: { data?: string; code?: number } = {}): void {
    this.listeners.get(type)?.forEach((listener) => listener(event));
  }
}

export class Server {
  readonly chats = new Map<string, Chat>();
  readonly connections = new Set<Connection>();
  /** Every frame that was sent, with its connection. */
  readonly frames: { from: "client" | "server"; connection: number; frame: ClientFrame | ServerFrame }[] = [];
  /** The constructor of sockets that are connected with this server. */
  readonly WebSocket: new (url: string) => Socket;
  isReachable = true;
  /** The most messages of a page. */
  pageSize = 50;
  /** Texts over this length are left out of frames. */
  maxContent = 20_000;
  /** The number of parts that each end of a reply claims. */
  claimedParts: number | undefined;
  /** The greeting: when the connection should be replaced, in milliseconds after it was opened. */
  lifetime = 110 * 60_000;
  /** Frames of these types get no answer, as often as given. */
  readonly deaf = new Map<string, number>();
  /** The answer to frames of these types, once. */
  readonly refusals = new Map<string, { code: string; retryAfter?: number }>();
  /** Who a token belongs to. Throws the code of an error for a bad one. */
  userOf: (token: string) => string = (token) => token;
  /** Decide at each frame of either direction what becomes of it. */
  fate: (number: number, from: "client" | "server", type: string) => "deliver" | "lose" | "cut" | "deliver and cut" =
    () => "deliver";
  #frameCount = 0;
  #connectionCount = 0;
  #ids = 1000;

  constructor(
    readonly world: World,
    /** The steps of the reply to a text. */
    readonly script: (text: string) => Step[] = (text) => [`You said: ${text}`],
  ) {
    const server = this;
    this.WebSocket = class {
      constructor() {
        return server.#connect();
      }
    } as unknown as new (url: string) => Socket;
  }

  /** The texts of the path of a chat that is shown. */
  texts(chat = this.only): string[] {
    return this.path(chat).map(({ view }) => view.content);
  }

  /** The only chat. */
  get only(): Chat {
    const [chat] = this.chats.values();
    if (chat === undefined || this.chats.size !== 1) {
      throw new Error(`There are ${this.chats.size} chats`);
    }
    return chat;
  }

  /** The types of the frames of one side. */
  types(from: "client" | "server"): string[] {
    return this.frames.filter((each) => each.from === from).map(({ frame }) => frame.type);
  }

  newChat(chatId: string): Chat {
    const chat = { chatId, title: "New chat", messages: new Map(), leaf: FIRST, leaves: new Map() };
    this.chats.set(chatId, chat);
    return chat;
  }

  /** Store a question and its answer. */
  store(chat: Chat, question: string, answer: string): void {
    this.#add(chat, { view: this.#view("user", question), after: chat.leaf, attempt: 1 });
    const view = { ...this.#view("assistant", answer), finishReason: "stop" as const };
    this.#add(chat, { view, after: chat.leaf, attempt: 1, end: this.#endOf(chat, view, 1) });
  }

  /** Close a connection as the network or the gateway does. */
  cut(connection: Connection, code = 1006): void {
    if (connection.state !== "closed") {
      connection.close();
      connection.tell("close", { code });
    }
  }

  cutAll(code = 1006): void {
    [...this.connections].forEach((connection) => this.cut(connection, code));
  }

  // The wire

  #connect(): Connection {
    const connection = new Connection(this, ++this.#connectionCount);
    this.world.setTimeout(() => {
      if (connection.state === "closed") {
        return;
      }
      if (!this.isReachable) {
        this.cut(connection);
        return;
      }
      connection.state = "open";
      this.connections.add(connection);
      connection.tell("open");
      this.post(connection, { type: "connected", data: this.#greeting(connection) });
    }, LATENCY);
    return connection;
  }

  #greeting(connection: Connection) {
    return {
      message: "WebSocket connection established",
      protocol: "1.2",
      connectionId: connection.id,
      serverTime: this.#time(),
      reconnectBefore: this.#time(this.lifetime),
      limits: { messageChars: 8000, idleSeconds: 600 },
      assistants: [{ id: "default", title: "Assistant", starters: ["Hi?"] }],
    };
  }

  /** Take a frame from a client. */
  sent(connection: Connection, frame: ClientFrame): void {
    this.#pass(connection, "client", frame, () => this.#handle(connection, frame));
  }

  /** Send a frame to a client. */
  post(connection: Connection, frame: ServerFrame): void {
    this.#pass(connection, "server", frame, () => connection.tell("message", { data: JSON.stringify(frame) }));
  }

  #pass(
    connection: Connection,
    from: "client" | "server",
    frame: ClientFrame | ServerFrame,
    deliver: () => void,
  ): void {
    if (connection.state !== "open") {
      return;
    }
    const fate = this.fate(++this.#frameCount, from, frame.type);
    this.frames.push({ from, connection: connection.number, frame });
    this.world.setTimeout(() => {
      if (connection.state !== "open") {
        return;
      }
      if (fate === "deliver" || fate === "deliver and cut") {
        deliver();
      }
      if (fate === "cut" || fate === "deliver and cut") {
        this.cut(connection);
      }
    }, LATENCY);
  }

  #broadcast(chat: Chat, frame: ServerFrame, but?: Connection): void {
    for (const connection of this.connections) {
      if (connection.chat === chat && connection !== but) {
        this.post(connection, frame);
      }
    }
  }

  // Frames of clients

  #handle(connection: Connection, frame: ClientFrame): void {
    const deaf = this.deaf.get(frame.type) ?? 0;
    if (deaf > 0) {
      this.deaf.set(frame.type, deaf - 1);
      return;
    }
    const tag = frame.requestId == null ? {} : { requestId: frame.requestId };
    const refusal = this.refusals.get(frame.type);
    this.refusals.delete(frame.type);
    try {
      if (refusal !== undefined) {
        throw new Refused(refusal.code, refusal.retryAfter);
      }
      this.#answer(connection, frame, tag);
    } catch (error) {
      if (!(error instanceof Refused)) {
        throw error;
      }
      const { code, retryAfter } = error;
      const data = { message: `Refused: ${code}`, code, ...(retryAfter !== undefined && { retryAfter }) };
      this.post(connection, { type: "error", ...tag, data } as ServerFrame);
    }
  }

  #answer(connection: Connection, frame: ClientFrame, tag: { requestId?: string }): void {
    const post = (type: string, data: object) => this.post(connection, { type, ...tag, data } as ServerFrame);
    if (frame.type === "join_chat") {
      this.#join(connection, frame.data ?? {}, post);
      return;
    }
    if (frame.type === "ping") {
      post("pong", { serverTime: this.#time() });
      return;
    }
    if (connection.user === undefined) {
      throw new Refused("not_authenticated");
    }
    if (frame.type === "create_chat") {
      const chat = this.#created(frame.data ?? {});
      connection.chat = chat;
      post("chat_created", { chatId: chat.chatId, title: chat.title, assistant: "default" });
      return;
    }
    const { chat } = connection;
    if (chat === undefined) {
      throw new Refused("not_authenticated");
    }
    switch (frame.type) {
      case "message":
      case "edit":
        this.#say(connection, chat, frame, tag);
        break;
      case "regenerate":
        this.#regenerate(chat);
        break;
      case "cancel":
        if (chat.reply === undefined || (frame.data?.messageId ?? chat.reply.messageId) !== chat.reply.messageId) {
          throw new Refused("nothing_to_cancel");
        }
        this.#end(chat, "cancelled");
        break;
      case "approve": {
        const { callId, approved } = frame.data;
        const { reply } = chat;
        // The same answer again is accepted.
        if (reply === undefined || (!reply.isWaiting && reply.answers.get(callId) !== approved)) {
          throw new Refused("nothing_to_approve");
        }
        const data = { messageId: reply.messageId, callId, approved };
        post("call_answered", data);
        this.#broadcast(chat, { type: "call_answered", data }, connection);
        reply.answers.set(callId, approved);
        if (reply.isWaiting) {
          this.#goOn(chat, approved);
        }
        break;
      }
      case "select":
        this.#checkFree(chat);
        this.#select(chat, frame.data.messageId);
        post("branch_selected", { chatId: chat.chatId, messageId: frame.data.messageId });
        this.#broadcast(
          chat,
          { type: "branch_selected", data: { chatId: chat.chatId, messageId: frame.data.messageId } },
          connection,
        );
        break;
      case "load_history": {
        const path = this.path(chat);
        const end = path.findIndex(({ view }) => view.messageId === frame.data.before);
        const start = Math.max(0, end - (frame.data.limit ?? this.pageSize));
        const messages = path.slice(start, end).map((each) => this.#shown(chat, each));
        post("history", { chatId: chat.chatId, messages, hasMore: start > 0 });
        break;
      }
      case "leave_chat":
        connection.chat = undefined;
        post("chat_left", { chatId: chat.chatId });
        break;
    }
  }

  #join(
    connection: Connection,
    data: { token?: string | null; chatId?: string | null; resume?: ResumePoint | null },
    post: (type: string, data: object) => void,
  ): void {
    const user = data.token == null ? connection.user : this.#identify(data.token);
    if (user === undefined) {
      throw new Refused("invalid_token");
    }
    const chat = data.chatId == null ? undefined : this.chats.get(data.chatId);
    if (data.chatId != null && chat === undefined) {
      throw new Refused("chat_not_found");
    }
    connection.user = user;
    post("authenticated", { userId: user });
    if (chat === undefined) {
      return;
    }
    const path = this.path(chat);
    const page = path.slice(-this.pageSize);
    const running = chat.reply && {
      reply: { messageId: chat.reply.messageId, attempt: Math.max(1, chat.reply.attempt) },
    };
    post("chat_joined", {
      chatId: chat.chatId,
      title: chat.title,
      assistant: "default",
      messages: page.map((each) => this.#shown(chat, each)),
      hasMore: path.length > page.length,
      ...running,
    });
    connection.chat = chat;
    const resumed = data.resume && path.find(({ view }) => view.messageId === data.resume!.messageId);
    if (resumed?.end !== undefined) {
      this.#sendStored(connection, chat, resumed, data.resume!);
    }
    if (chat.reply !== undefined) {
      this.#catchUp(connection, chat, chat.reply, data.resume ?? undefined);
    }
  }

  #identify(token: string): string {
    try {
      return this.userOf(token);
    } catch {
      throw new Refused("invalid_token");
    }
  }

  #created(data: CreateChatData): Chat {
    const chatId = `chat-${data.clientChatId ?? ++this.#ids}`;
    return this.chats.get(chatId) ?? Object.assign(this.newChat(chatId), data.title ? { title: data.title } : {});
  }

  #say(
    connection: Connection,
    chat: Chat,
    frame: Extract<ClientFrame, { type: "message" | "edit" }>,
    tag: { requestId?: string },
  ): void {
    const { message, clientMessageId } = frame.data;
    const replaces = frame.type === "edit" ? { replaces: frame.data.messageId } : {};
    const known = [...chat.messages.values()].find((each) => each.clientMessageId === (clientMessageId ?? ""));
    if (known === undefined) {
      this.#checkFree(chat);
    }
    let after = chat.leaf;
    if (known === undefined && frame.type === "edit") {
      const replaced = chat.messages.get(frame.data.messageId);
      if (replaced === undefined || !this.path(chat).includes(replaced)) {
        throw new Refused("nothing_to_edit");
      }
      chat.leaves.set(frame.data.messageId, chat.leaf);
      after = replaced.after;
    }
    const stored = known ?? {
      view: this.#view("user", message),
      after,
      attempt: 1,
      ...(clientMessageId != null && { clientMessageId }),
    };
    const client = clientMessageId == null ? {} : { clientMessageId };
    const data = { ...stored.view, chatId: chat.chatId, ...client, ...replaces };
    if (known !== undefined) {
      this.post(connection, { type: "user_message", ...tag, data: { ...data, duplicate: true } } as ServerFrame);
      return;
    }
    this.#add(chat, stored);
    this.post(connection, { type: "user_message", ...tag, data } as ServerFrame);
    this.#broadcast(chat, { type: "user_message", data } as ServerFrame, connection);
    this.#begin(chat, this.script(message), stored.view.messageId);
  }

  #regenerate(chat: Chat): void {
    this.#checkFree(chat);
    const last = chat.messages.get(chat.leaf);
    if (last?.view.role !== "assistant") {
      throw new Refused("nothing_to_regenerate");
    }
    chat.leaves.set(last.view.messageId, chat.leaf);
    const question = chat.messages.get(last.after)!.view.content;
    this.#begin(chat, this.script(`again ${question}`), last.after, last.view.messageId);
  }

  #select(chat: Chat, messageId: string): void {
    const target = chat.messages.get(messageId);
    const shown = this.path(chat).find((each) => each.after === target?.after);
    if (target === undefined || shown === undefined) {
      throw new Refused("nothing_to_select");
    }
    if (shown !== target) {
      chat.leaves.set(shown.view.messageId, chat.leaf);
      chat.leaf = chat.leaves.get(messageId) ?? messageId;
    }
  }

  #checkFree(chat: Chat): void {
    if (chat.reply !== undefined) {
      throw new Refused("busy");
    }
  }

  // Replies

  #begin(chat: Chat, steps: Step[], after: string, replaces?: string): void {
    const messageId = this.#newId();
    const empty = { attempt: 0, text: "", parts: new Map(), isWaiting: false, answers: new Map() };
    const reply: Reply = { ...empty, messageId, steps, replaces, after };
    chat.reply = reply;
    this.world.setTimeout(() => {
      reply.attempt ||= 1;
      this.#broadcast(chat, this.#startOf(chat, reply, 0));
      this.#plan(chat, reply);
    }, PACE);
  }

  #plan(chat: Chat, reply: Reply): void {
    this.world.setTimeout(() => {
      if (chat.reply === reply && !reply.isWaiting) {
        this.#step(chat, reply);
      }
    }, PACE);
  }

  #step(chat: Chat, reply: Reply): void {
    const step = reply.steps.shift();
    if (step === undefined) {
      this.#end(chat, "stop");
      return;
    }
    const { messageId } = reply;
    if (step === "NEW ATTEMPT") {
      reply.attempt += 1;
      reply.text = "";
      reply.parts.clear();
      this.#broadcast(chat, this.#startOf(chat, reply, 0));
    } else if (typeof step === "string") {
      const offset = reply.text.length;
      reply.text += step;
      const data = { token: step, messageId, attempt: reply.attempt, offset };
      this.#broadcast(chat, { type: "assistant_message_token", data });
    } else if ("part" in step) {
      this.#showPart(chat, reply, step.index, step.part);
    } else {
      reply.isWaiting = true;
      this.#showPart(chat, reply, 0, toolCall(step.waitFor, "waiting"));
      return;
    }
    this.#plan(chat, reply);
  }

  /** The user has answered: a new attempt says everything again, and goes on. */
  #goOn(chat: Chat, approved: boolean): void {
    const reply = chat.reply!;
    const { text } = reply;
    const call = [...reply.parts.values()].find(({ part }) => part.kind === "tool_call")!.part as { callId: string };
    reply.isWaiting = false;
    const done: Step = {
      index: 0,
      part: { ...toolCall(call.callId, approved ? "done" : "error"), result: "42" } as Part,
    };
    reply.steps.unshift("NEW ATTEMPT", text, done);
    this.#plan(chat, reply);
  }

  #showPart(chat: Chat, reply: Reply, index: number, part: Part): void {
    const old = reply.parts.get(index);
    const offset = old?.offset ?? reply.text.length;
    const hasText = part.kind === "reasoning" || part.kind === "refusal";
    const before = hasText && old?.part.kind === part.kind ? old.part.text : "";
    const sent = hasText ? { ...part, textOffset: before.length } : part;
    reply.parts.set(index, { offset, part: hasText ? { ...part, text: before + part.text } : part });
    const data = { messageId: reply.messageId, attempt: reply.attempt, index, offset, part: sent };
    this.#broadcast(chat, { type: "assistant_message_part", data });
  }

  #end(chat: Chat, finishReason: "stop" | "cancelled"): void {
    const reply = chat.reply!;
    delete chat.reply;
    const parts = [...reply.parts].map(([index, { offset, part }]) => ({ ...part, index, offset }));
    const view = {
      ...this.#view("assistant", reply.text, reply.messageId),
      finishReason,
      ...(parts.length > 0 && { parts }),
    };
    const end = this.#endOf(chat, view, Math.max(1, reply.attempt));
    this.#add(chat, { view, after: reply.after, attempt: Math.max(1, reply.attempt), end });
    this.#broadcast(chat, { type: "assistant_message_complete", data: end });
  }

  #endOf(chat: Chat, view: MessageView & { content: string }, attempt: number): AssistantMessageCompleteData {
    const { messageId, content, timestamp, finishReason = "stop", parts = [] } = view;
    return {
      messageId,
      content: content.length > this.maxContent ? null : content,
      role: "assistant",
      timestamp,
      chatId: chat.chatId,
      attempt,
      length: content.length,
      finishReason,
      usage: { promptTokens: 1, completionTokens: 2 },
      ...(parts.length > 0 && { partCount: parts.length }),
      ...(this.claimedParts !== undefined && { partCount: this.claimedParts }),
    };
  }

  #sendStored(connection: Connection, chat: Chat, stored: Stored, resume: ResumePoint): void {
    const { messageId, content, parts = [] } = stored.view;
    const { attempt } = stored;
    const offset = (resume.attempt ?? attempt) === attempt ? resume.offset : 0;
    if (offset > content.length) {
      throw new Refused("invalid_format");
    }
    const first = content.slice(offset, offset + this.maxContent);
    const data = { message: "…", messageId, chatId: chat.chatId, attempt, offset, content: first };
    this.post(connection, { type: "assistant_message_start", data });
    for (let at = offset + first.length; at < content.length; at += this.maxContent) {
      const token = content.slice(at, at + this.maxContent);
      this.post(connection, { type: "assistant_message_token", data: { token, messageId, attempt, offset: at } });
    }
    for (const { index, offset: place, ...part } of parts) {
      const whole = { ...part, ...("text" in part && part.kind !== "source" && { textOffset: 0 }) } as Part;
      const shown = { messageId, attempt, index, offset: place, part: whole };
      this.post(connection, { type: "assistant_message_part", data: shown });
    }
    this.post(connection, { type: "assistant_message_complete", data: stored.end! });
  }

  #catchUp(connection: Connection, chat: Chat, reply: Reply, resume: ResumePoint | undefined): void {
    if (reply.attempt === 0) {
      return;
    }
    const isSame = resume?.messageId === reply.messageId && (resume.attempt ?? reply.attempt) === reply.attempt;
    this.post(connection, this.#startOf(chat, reply, isSame ? resume.offset : 0));
    for (const [index, { offset, part }] of reply.parts) {
      const whole = part.kind === "reasoning" || part.kind === "refusal" ? { ...part, textOffset: 0 } : part;
      const data = { messageId: reply.messageId, attempt: reply.attempt, index, offset, part: whole };
      this.post(connection, { type: "assistant_message_part", data });
    }
  }

  #startOf(chat: Chat, reply: Reply, offset: number): ServerFrame {
    const { messageId, attempt, text, replaces } = reply;
    const replaced = replaces === undefined ? {} : { replaces };
    const content = text.slice(offset);
    const data = { message: "…", messageId, chatId: chat.chatId, attempt, offset, content, ...replaced };
    return { type: "assistant_message_start", data };
  }

  // Messages

  path(chat: Chat): Stored[] {
    const path: Stored[] = [];
    for (let stored = chat.messages.get(chat.leaf); stored !== undefined; stored = chat.messages.get(stored.after)) {
      path.unshift(stored);
    }
    return path;
  }

  #shown(chat: Chat, stored: Stored): MessageView {
    const siblings = [...chat.messages.values()].filter(({ after }) => after === stored.after);
    const { content, ...view } = stored.view;
    return {
      ...view,
      content: content.length > this.maxContent ? null : content,
      ...(content.length > this.maxContent && { length: content.length }),
      ...(siblings.length > 1 && { siblings: siblings.map((each) => each.view.messageId) }),
    };
  }

  #view(role: "user" | "assistant", content: string, messageId = this.#newId()) {
    return { messageId, content, role, timestamp: this.#time() };
  }

  #add(chat: Chat, stored: Stored): void {
    chat.messages.set(stored.view.messageId, stored);
    chat.leaf = stored.view.messageId;
  }

  #newId(): string {
    return `m${++this.#ids}`;
  }

  #time(later = 0): string {
    return new Date(this.world.time + later).toISOString();
  }
}

export function toolCall(callId: string, state: "running" | "waiting" | "done" | "error"): Part {
  return { kind: "tool_call", callId, name: "lamp", arguments: "{}", state };
}

class Refused extends Error {
  constructor(
    readonly code: string,
    readonly retryAfter?: number,
  ) {
    super(code);
  }
}
