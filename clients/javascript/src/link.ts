/** The sockets and the timer of one session, and the conversation that uses it. */
import type { Conversation } from "./conversation.ts";
import { ParleyError } from "./errors.ts";
import type { ClientFrame, ConnectedData, ErrorData, GatewayError, ServerFrame } from "./frames.ts";
import type { Runtime } from "./runtime.ts";
import { Session, type SessionSink } from "./session.ts";
import type { Tokens } from "./tokens.ts";
import type { Closed, TokenReason } from "./types.ts";

/** What is used of a WebSocket. */
export interface Socket {
  send(text: string): void;
  close(): void;
  // `any`, because the events of browsers and of `ws` have different types.
  addEventListener(type: "open" | "message" | "close" | "error", listener: (event: any) => void): void;
}

/** The client, as its links see it. */
export interface LinkHost {
  readonly runtime: Runtime;
  readonly tokens: Tokens;
  openSocket(): Socket;
  /** A number for a new socket, for people who look at frames. */
  number(): number;
  greeted(greeting: ConnectedData): void;
  authenticated(userId: string): void;
  /** Take a frame that every connection of the user gets. */
  received(frame: ServerFrame): void;
  changed(): void;
  closed(because: Closed): void;
  failed(error: ParleyError): void;
  seen(direction: "in" | "out", connection: number, frame: unknown): void;
}

/** A chat that was closed is left after this time, if no other one is opened on its connection. */
const LEAVE_AFTER = 1000;
const LEAVE_PATIENCE = 10_000;
/** The longest time that timers of browsers can count is 24 days. A machine may sleep. So look now and then. */
const LONGEST_TIMER = 3_600_000;

export class Link implements SessionSink {
  conversation: Conversation | undefined;
  readonly session: Session;
  /** The replies of earlier chats on this connection. */
  readonly foreignReplies = new Set<string>();
  readonly #sockets = new Map<number, { socket: Socket; number: number }>();
  #timer: unknown;
  #joinedWith: Conversation | undefined;
  /** The chat that is to be left, and since when it is being left. */
  #leaving: { at: number; requestId?: string } | undefined;

  constructor(private readonly host: LinkHost) {
    this.session = new Session(this, () => host.runtime.random(), host.tokens.isRenewable);
  }

  get isUp(): boolean {
    return this.session.line !== undefined;
  }

  connect(): void {
    this.act(() => this.session.connect());
  }

  /** Use the connection for a chat. */
  attach(conversation: Conversation): void {
    this.conversation = conversation;
    this.act((now) => {
      if (this.#leaving?.requestId === undefined) {
        this.#leaving = undefined;
        if (this.isUp) {
          conversation.up(false, now);
        }
      }
    });
  }

  /** The chat does not need the connection any more. */
  release(): void {
    for (const id of this.conversation?.transcript.liveReplies ?? []) {
      this.foreignReplies.add(id);
    }
    if (this.conversation?.chatId !== undefined && this.isUp) {
      this.#leaving = { at: this.host.runtime.now() + LEAVE_AFTER };
    }
    this.conversation = undefined;
    this.act(() => {});
  }

  close(): void {
    this.session.close();
    this.host.runtime.clearTimeout(this.#timer);
  }

  wake(what: "online" | "offline" | "shown"): void {
    this.act((now) => this.session.woken(what, now));
  }

  /** Do something that may change when something is due next. */
  act(action: (now: number) => void): void {
    action(this.host.runtime.now());
    this.#plan();
    this.host.changed();
  }

  sendFrame(frame: ClientFrame): void {
    if (this.session.line !== undefined) {
      this.#send(this.session.line, frame);
    }
  }

  // Time

  #plan(): void {
    const { runtime } = this.host;
    runtime.clearTimeout(this.#timer);
    this.#timer = undefined;
    const times = [
      this.session.deadline(this.#isActive, this.#isQuiet),
      this.isUp && this.#leaving?.requestId === undefined ? this.conversation?.deadline : undefined,
      this.isUp ? this.#leaving?.at : undefined,
    ].filter((time) => time !== undefined);
    if (times.length > 0 && !this.session.isClosed) {
      const pause = Math.max(0, Math.min(...times) - runtime.now());
      this.#timer = runtime.setTimeout(() => this.act((now) => this.#tick(now)), Math.min(pause, LONGEST_TIMER));
    }
  }

  #tick(now: number): void {
    this.session.tick(this.#isActive, this.#isQuiet, now);
    if (!this.isUp) {
      return;
    }
    if (this.#leaving !== undefined && now >= this.#leaving.at) {
      this.#leave(now);
    }
    if (this.#leaving === undefined) {
      this.conversation?.tick(now);
    }
  }

  #leave(now: number): void {
    if (this.#leaving?.requestId === undefined) {
      const requestId = this.host.runtime.id();
      this.#leaving = { at: now + LEAVE_PATIENCE, requestId };
      this.sendFrame({ type: "leave_chat", requestId });
    } else {
      this.#left(now);
    }
  }

  /** The order of frames is not kept: so nothing is joined before the other chat is left. */
  #left(now: number): void {
    this.#leaving = undefined;
    this.conversation?.up(false, now);
  }

  get #isActive(): boolean {
    return this.conversation?.isActive ?? false;
  }

  get #isQuiet(): boolean {
    return this.conversation?.isQuiet ?? true;
  }

  // The session's orders

  fetchToken(ticket: number, reason: TokenReason, old: string | undefined): void {
    this.host.tokens.get(reason, old).then(
      (token) => this.act((now) => this.session.token(ticket, token, now)),
      (error: unknown) => this.act((now) => this.session.tokenFailed(ticket, error, now)),
    );
  }

  openLine(line: number): void {
    let socket: Socket;
    try {
      socket = this.host.openSocket();
    } catch (cause) {
      // For example a page of https that asks for ws.
      this.host.failed(new ParleyError("connection_lost", "No socket could be opened", undefined, { cause }));
      queueMicrotask(() => this.act((now) => this.session.closed(line, 1006, now)));
      return;
    }
    const entry = { socket, number: this.host.number() };
    this.#sockets.set(line, entry);
    const hear = (action: (now: number) => void) => {
      if (this.#sockets.get(line) === entry) {
        this.act(action);
      }
    };
    socket.addEventListener("open", () => hear((now) => this.session.opened(line, now)));
    socket.addEventListener("message", ({ data }: { data: unknown }) =>
      hear((now) => this.#receive(line, entry.number, data, now)),
    );
    socket.addEventListener("close", ({ code }: { code: number }) =>
      hear((now) => {
        this.#sockets.delete(line);
        this.session.closed(line, code, now);
      }),
    );
    // A close follows. Without a listener, the sockets of `ws` throw.
    socket.addEventListener("error", () => {});
  }

  closeLine(line: number): void {
    const entry = this.#sockets.get(line);
    this.#sockets.delete(line);
    entry?.socket.close();
  }

  join(line: number, token: string, alone: boolean): void {
    this.#joinedWith = alone || this.#leaving !== undefined ? undefined : this.conversation;
    const frame = this.#joinedWith?.joining(this.host.runtime.now()) ?? {
      type: "join_chat" as const,
      requestId: this.host.runtime.id(),
    };
    this.#send(line, { ...frame, data: { ...frame.data, token } });
  }

  ping(line: number): void {
    this.#send(line, { type: "ping" });
  }

  greeted(greeting: ConnectedData): void {
    this.host.greeted(greeting);
  }

  up(_line: number, userId: string, isJoining: boolean): void {
    this.host.authenticated(userId);
    if (this.#leaving === undefined) {
      this.conversation?.up(isJoining && this.#joinedWith === this.conversation, this.host.runtime.now());
    }
  }

  down(code: number): void {
    // A new connection is in no chat.
    this.#leaving = undefined;
    this.conversation?.down(code, this.host.runtime.now());
  }

  receive(frame: ServerFrame): void {
    const now = this.host.runtime.now();
    if (this.#leaving?.requestId !== undefined && "requestId" in frame && frame.requestId === this.#leaving.requestId) {
      this.#left(now);
      return;
    }
    this.host.received(frame);
    this.conversation?.receive(frame, now);
  }

  gatewayFailed(message: string): void {
    this.conversation?.gatewayFailed(message, this.host.runtime.now());
  }

  joinRefused(error: ErrorData): boolean {
    return this.#joinedWith?.joinRefused(error, this.host.runtime.now()) ?? false;
  }

  closed(because: Closed): void {
    this.host.closed(because);
  }

  failed(error: ParleyError): void {
    this.host.failed(error);
  }

  // Frames

  #send(line: number, frame: ClientFrame): void {
    const entry = this.#sockets.get(line);
    if (entry !== undefined) {
      const hasToken = frame.type === "join_chat" && frame.data?.token != null;
      const shown = hasToken ? { ...frame, data: { ...frame.data, token: "…" } } : frame;
      this.host.seen("out", entry.number, shown);
      entry.socket.send(JSON.stringify(frame));
    }
  }

  #receive(line: number, number: number, text: unknown, now: number): void {
    const frame = parsed(text);
    if (frame !== undefined) {
      this.host.seen("in", number, frame);
      this.session.received(line, frame, now);
    }
  }
}

/** Return a frame. `undefined` for what is none: another server may be at this address. */
function parsed(text: unknown): ServerFrame | GatewayError | undefined {
  try {
    const frame: unknown = JSON.parse(String(text));
    if (typeof frame !== "object" || frame === null) {
      return undefined;
    }
    const isFrame = "type" in frame && "data" in frame && typeof frame.data === "object" && frame.data !== null;
    const isError = !("type" in frame) && "message" in frame;
    return isFrame || isError ? (frame as ServerFrame | GatewayError) : undefined;
  } catch {
    return undefined;
  }
}
