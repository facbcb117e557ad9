/**
 * The life of a connection that is always there again: connecting, the token, pings, the change to a new connection
 * before the gateway ends the old one, and when to stop trying. No I/O here: time comes in, orders go out.
 *
 * A *line* is one WebSocket. At most one line is up. Another one may be on its way to replace it.
 */
import { ParleyError } from "./errors.ts";
import type { ConnectedData, ErrorData, GatewayError, ServerFrame } from "./frames.ts";
import { expiryOf } from "./tokens.ts";
import type { Closed, TokenReason } from "./types.ts";

/** The world of a session. */
export interface SessionSink {
  /** Fetch a token, other than `refused`, and give it to `token()` or `tokenFailed()` with the ticket. */
  fetchToken(ticket: number, reason: TokenReason, old: string | undefined): void;
  openLine(line: number): void;
  closeLine(line: number): void;
  /** Send the `join_chat` with which a line gets its user. `alone`: without the chat. */
  join(line: number, token: string, alone: boolean): void;
  ping(line: number): void;
  greeted(greeting: ConnectedData): void;
  /** Frames are sent on this line now. `isJoining`: the chat was joined with the same frame. */
  up(line: number, userId: string, isJoining: boolean): void;
  /** The line is lost, and there is no other one yet. */
  down(code: number): void;
  /** Take a frame that is not the session's own business. */
  receive(frame: ServerFrame): void;
  gatewayFailed(message: string): void;
  /** The chat of a `join` was refused. Returns true if the join is to be sent again at once. */
  joinRefused(error: ErrorData): boolean;
  closed(because: Closed): void;
  failed(error: ParleyError): void;
}

interface Line {
  readonly id: number;
  phase: "opening" | "joining" | "up";
  since: number;
  token: string;
  joins: number;
  /** Its token was refused, and this is another one. */
  isRenewed: boolean;
  /** The chat is not in its `join_chat`. */
  alone: boolean;
  pingedAt: number;
  heardAt: number;
  /** Until then something must be heard, or the line is dead. */
  answerBy?: number | undefined;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const OPEN_PATIENCE = 15 * SECOND;
const JOIN_PATIENCE = 15 * SECOND;
/** A function may start cold, and then a `pong` takes some seconds. */
const PONG_PATIENCE = 30 * SECOND;
const QUICK_PONG_PATIENCE = 10 * SECOND;
const ACTIVE_PING = 5 * SECOND;
const IDLE_PING = 5 * MINUTE;
const FIRST_PAUSE = 0.5 * SECOND;
const LONGEST_PAUSE = 8 * SECOND;
const MAX_JOINS = 4;
/** The server waits for so long after `exp`, because clocks differ. */
const LEEWAY = 30 * SECOND;
const PROTOCOL_MAJOR = "1";

export class Session {
  #state: "idle" | "running" | "closed" = "idle";
  /** A line was up, or a try has failed: the next one is no first try. */
  hasTried = false;
  #up: Line | undefined;
  #next: Line | undefined;
  #lines = 0;
  #tickets = 0;
  #wanted: { ticket: number; why: "open" | "join" | "renew" } | undefined;
  #failures = 0;
  #retryAt: number | undefined;
  #renewAt: number | undefined;
  #handover: { quietAt: number; at: number } | undefined;
  #userId: string | undefined;
  /** The server's clock minus this one, in milliseconds. */
  #skew = 0;

  constructor(
    private readonly sink: SessionSink,
    private readonly random: () => number,
    /** There is a function for new tokens. */
    private readonly renewable: boolean,
  ) {}

  /** The line on which frames are sent. */
  get line(): number | undefined {
    return this.#up?.id;
  }

  get isClosed(): boolean {
    return this.#state === "closed";
  }

  connect(): void {
    if (this.#state !== "running") {
      this.#state = "running";
      this.#failures = 0;
      this.#open();
    }
  }

  /** Close all lines, for good unless `connect` is called. */
  close(): void {
    for (const line of [this.#up, this.#next]) {
      if (line !== undefined) {
        this.sink.closeLine(line.id);
      }
    }
    this.#up = this.#next = this.#wanted = undefined;
    this.#retryAt = this.#renewAt = this.#handover = undefined;
    this.#state = "closed";
  }

  // Tokens

  token(ticket: number, token: string, now: number): void {
    const why = this.#take(ticket);
    if (why === "open") {
      const line = newLine(++this.#lines, token, now, this.#up !== undefined);
      this.#next = line;
      this.sink.openLine(line.id);
    } else if (why === "join" && this.#joiningLine !== undefined) {
      this.#join(this.#joiningLine, token, now);
    } else if (why === "renew" && this.#up !== undefined) {
      this.#up.token = token;
      this.sink.join(this.#up.id, token, true);
    }
  }

  tokenFailed(ticket: number, error: unknown, now: number): void {
    const why = this.#take(ticket);
    if (why === undefined) {
      return;
    }
    this.sink.failed(new ParleyError("token_failed", "No token could be fetched", undefined, { cause: error }));
    if (why === "renew") {
      this.#renewAt = now + 10 * SECOND;
    } else {
      this.#fail(this.#joiningLine, 1006, now);
    }
  }

  // What sockets say

  opened(id: number, now: number): void {
    if (this.#next?.id === id) {
      this.#join(this.#next, this.#next.token, now);
    }
  }

  closed(id: number, code: number, now: number): void {
    const line = [this.#up, this.#next].find((each) => each?.id === id);
    if (line === undefined) {
      return;
    }
    if (code === 1000 && this.#isFinal(line, now)) {
      const message = "The server has closed the connection, and asks not to connect again by itself";
      this.#end({ code: "ended_by_server", message });
      return;
    }
    this.#fail(line, code, now);
  }

  received(id: number, frame: ServerFrame | GatewayError, now: number): void {
    const line = [this.#up, this.#next].find((each) => each?.id === id);
    if (line === undefined) {
      return;
    }
    line.heardAt = now;
    line.answerBy = undefined;
    if (!("type" in frame)) {
      this.#gatewayError(line, frame, now);
      return;
    }
    switch (frame.type) {
      case "connected":
        this.#greeted(frame.data, now);
        return;
      case "authenticated":
        this.#authenticated(line, frame.data.userId, now);
        return;
      case "error":
        if (frame.data.code === "invalid_token") {
          this.#tokenRefused(line, now);
          return;
        }
        if (line.phase === "joining") {
          this.#joinRefused(line, frame.data, now);
          return;
        }
        break;
      case "pong":
        return;
    }
    this.sink.receive(frame);
  }

  /** The network is there again, or the page is shown again; or the network is gone. */
  woken(what: "online" | "offline" | "shown", now: number): void {
    if (this.#state !== "running") {
      return;
    }
    if (what === "offline") {
      // A socket would learn it in minutes. If the network is there all the same, the next one opens at once.
      for (const line of [this.#next, this.#up]) {
        if (line !== undefined) {
          this.#fail(line, 1006, now);
        }
      }
    } else if (this.#retryAt !== undefined) {
      this.#failures = 0;
      this.#open();
    } else if (this.#up !== undefined && now - this.#up.heardAt > SECOND) {
      this.#ping(this.#up, now, QUICK_PONG_PATIENCE);
    }
  }

  // Time

  /** When `tick` is to be called, in milliseconds since 1970. `isActive`: a reply is being made, or is due. */
  deadline(isActive: boolean, isQuiet: boolean): number | undefined {
    const { phase, since } = this.#next ?? {};
    const patience = phase === "opening" ? OPEN_PATIENCE : JOIN_PATIENCE;
    const canHandOver = this.#handover !== undefined && !this.#isOnTheWay;
    const times = [
      this.#retryAt,
      since === undefined || this.#wanted !== undefined ? undefined : since + patience,
      this.#up?.phase === "joining" && this.#wanted === undefined ? this.#up.since + JOIN_PATIENCE : undefined,
      this.#up?.answerBy,
      this.#up?.phase === "up" ? this.#up.pingedAt + (isActive ? ACTIVE_PING : IDLE_PING) : undefined,
      this.#wanted === undefined ? this.#renewAt : undefined,
      canHandOver ? (isQuiet ? this.#handover!.quietAt : this.#handover!.at) : undefined,
    ].filter((time) => time !== undefined);
    return this.#state !== "running" || times.length === 0 ? undefined : Math.min(...times);
  }

  /** Do what is due. */
  tick(isActive: boolean, isQuiet: boolean, now: number): void {
    if (this.#state !== "running") {
      return;
    }
    this.#dropSilentLines(now);
    if (isPast(this.#retryAt, now)) {
      this.#open();
    }
    if (isPast(this.#renewAt, now) && this.#wanted === undefined && this.#up !== undefined) {
      this.#renewAt = undefined;
      this.#want("renew", "expiry", this.#up.token);
    }
    if (this.#up?.phase === "up" && now >= this.#up.pingedAt + (isActive ? ACTIVE_PING : IDLE_PING)) {
      this.#ping(this.#up, now, PONG_PATIENCE);
    }
    const { quietAt, at } = this.#handover ?? {};
    if (isPast(isQuiet ? quietAt : at, now) && !this.#isOnTheWay && this.#up?.phase === "up") {
      this.#open();
    }
  }

  #dropSilentLines(now: number): void {
    const next = this.#next;
    if (next !== undefined && this.#wanted === undefined) {
      const patience = next.phase === "opening" ? OPEN_PATIENCE : JOIN_PATIENCE;
      if (now >= next.since + patience) {
        this.#fail(next, 1006, now);
      }
    }
    const up = this.#up;
    const joinsTooLong = up?.phase === "joining" && this.#wanted === undefined && now >= up.since + JOIN_PATIENCE;
    if (up !== undefined && (joinsTooLong || isPast(up.answerBy, now))) {
      this.#fail(up, 1006, now);
    }
  }

  // Steps

  get #isOnTheWay(): boolean {
    return this.#next !== undefined || this.#wanted !== undefined || this.#retryAt !== undefined;
  }

  /** The line whose user is not known yet. */
  get #joiningLine(): Line | undefined {
    return [this.#next, this.#up].find((line) => line?.phase === "joining");
  }

  #open(): void {
    this.#retryAt = undefined;
    this.#want("open", "connect", undefined);
  }

  #want(why: "open" | "join" | "renew", reason: TokenReason, old: string | undefined): void {
    const ticket = ++this.#tickets;
    this.#wanted = { ticket, why };
    this.sink.fetchToken(ticket, reason, old);
  }

  #take(ticket: number): "open" | "join" | "renew" | undefined {
    if (this.#wanted?.ticket !== ticket) {
      return undefined;
    }
    const { why } = this.#wanted;
    this.#wanted = undefined;
    return why;
  }

  #join(line: Line, token: string, now: number): void {
    line.phase = "joining";
    line.since = now;
    line.token = token;
    line.joins += 1;
    this.sink.join(line.id, token, line.alone);
  }

  #authenticated(line: Line, userId: string, now: number): void {
    if (this.#userId !== undefined && userId !== this.#userId) {
      this.#end({ code: "other_user", message: "The new token is another user's" });
      return;
    }
    this.#userId = userId;
    this.#failures = 0;
    this.#planRenewal(line.token, now);
    if (line.phase === "up") {
      return;
    }
    line.phase = "up";
    line.joins = 0;
    line.pingedAt = now;
    this.hasTried = true;
    const old = this.#up;
    this.#up = line;
    if (this.#next === line) {
      this.#next = undefined;
    }
    if (old !== undefined && old !== line) {
      this.sink.closeLine(old.id);
    }
    this.sink.up(line.id, userId, !line.alone);
  }

  #greeted(greeting: ConnectedData, now: number): void {
    if ((greeting.protocol ?? PROTOCOL_MAJOR).split(".")[0] !== PROTOCOL_MAJOR) {
      const message = `The server speaks version ${greeting.protocol} of the protocol, and this client version 1`;
      this.#end({ code: "unsupported_protocol", message });
      return;
    }
    const serverTime = Date.parse(greeting.serverTime);
    const before = Date.parse(greeting.reconnectBefore);
    if (!Number.isNaN(serverTime) && !Number.isNaN(before)) {
      this.#skew = serverTime - now;
      const span = before - serverTime;
      // At a quiet moment in good time; else when time is nearly over. Not all clients at the same moment.
      this.#handover = { quietAt: now + span * (0.9 + 0.05 * this.random()), at: now + span * 0.98 };
      if (this.#up !== undefined) {
        this.#planRenewal(this.#up.token, now);
      }
    }
    this.sink.greeted(greeting);
  }

  #planRenewal(token: string, now: number): void {
    const expiry = this.renewable ? expiryOf(token) : undefined;
    if (expiry === undefined) {
      this.#renewAt = undefined;
      return;
    }
    const left = expiry - this.#skew - now;
    // A function may give tokens that are over by this clock. They are no reason to ask without end.
    this.#renewAt = left > 0 ? now + Math.max(SECOND, left - Math.min(MINUTE, left / 2)) : now + LEEWAY;
  }

  #tokenRefused(line: Line, now: number): void {
    if (this.#wanted !== undefined) {
      return;
    }
    if (line.phase === "up") {
      line.alone = line.isRenewed = false;
      const expiry = expiryOf(line.token);
      if (expiry === undefined || expiry > now + this.#skew) {
        // The server has forgotten the connection, which it does after a post that failed.
        this.#join(line, line.token, now);
        return;
      }
      line.phase = "joining";
      line.since = now;
    }
    if (!this.renewable || line.isRenewed) {
      this.#end({ code: "invalid_token", message: "The server has refused the token" });
      return;
    }
    line.isRenewed = true;
    this.#want("join", "refused", line.token);
  }

  #joinRefused(line: Line, error: ErrorData, now: number): void {
    const again = !line.alone && this.sink.joinRefused(error);
    if (again && line.joins < MAX_JOINS) {
      this.#join(line, line.token, now);
      return;
    }
    this.sink.failed(new ParleyError(error.code, error.message, error.retryAfter ?? undefined));
    this.#fail(line, 1006, now, error.retryAfter ?? 0);
  }

  #gatewayError(line: Line, error: GatewayError, now: number): void {
    if (line.phase === "joining") {
      this.#fail(line, 1006, now);
    } else {
      this.sink.gatewayFailed(error.message);
    }
    if (error.message === "Forbidden") {
      this.sink.failed(new ParleyError("gateway_forbidden", "The gateway has no route for a frame"));
    }
  }

  /** Close 1000 means: do not come back. But not if the session has ended with its token, or the line was replaced. */
  #isFinal(line: Line, now: number): boolean {
    if (line === this.#up && this.#next !== undefined) {
      return false;
    }
    const expiry = this.renewable ? expiryOf(line.token) : undefined;
    return expiry === undefined || now + this.#skew < expiry + LEEWAY - SECOND;
  }

  /** A line, or the attempt to open one, has failed. Try again after a pause. */
  #fail(line: Line | undefined, code: number, now: number, seconds = 0): void {
    if (line !== undefined) {
      this.sink.closeLine(line.id);
    }
    if (this.#wanted?.why === "join" || this.#wanted?.why === "renew") {
      this.#wanted = undefined;
    }
    const wasUp = line !== undefined && line === this.#up;
    if (wasUp) {
      this.#up = this.#renewAt = this.#handover = undefined;
    } else {
      this.#next = undefined;
    }
    this.hasTried = true;
    if (this.#up === undefined) {
      this.sink.down(code);
    }
    if (!this.#isOnTheWay) {
      const longest = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** this.#failures);
      this.#failures += 1;
      this.#retryAt = now + Math.max(seconds * SECOND, longest * (0.5 + 0.5 * this.random()));
    }
  }

  #ping(line: Line, now: number, patience: number): void {
    line.pingedAt = now;
    line.answerBy = Math.min(line.answerBy ?? Infinity, now + patience);
    this.sink.ping(line.id);
  }

  #end(because: Closed): void {
    this.close();
    this.sink.closed(because);
  }
}

/** Return a line that is being opened. If it replaces one (`alone`), that one is used until this one is up. */
function newLine(id: number, token: string, now: number, alone: boolean): Line {
  return { id, phase: "opening", since: now, token, joins: 0, isRenewed: false, alone, pingedAt: now, heardAt: now };
}

function isPast(time: number | undefined, now: number): boolean {
  return time !== undefined && now >= time;
}
