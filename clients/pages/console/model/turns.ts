/**
 * Turns: what happened because of one cause, such as a frame or an HTTP request, through all functions that it led to.
 *
 * The emulator tells who called whom by request ids. Only a frame has none: the invocations of a connection take its
 * frames in their order.
 */
import { hasFailed, type TraceEvent } from "./events.ts";

export type Cause = "connect" | "frame" | "disconnect" | "http" | "event" | "replay" | "other";

export interface Invocation {
  requestId: string;
  function: string;
  start: TraceEvent;
  end?: TraceEvent;
  /** The invocation that called this one, if it is one of the turn's. */
  parent?: Invocation;
  /** Calls, posts, lines of the log and more, in their order. */
  events: TraceEvent[];
}

export interface Turn {
  /** The number of the first event: it names the turn. */
  id: number;
  cause: Cause;
  at: number;
  until: number;
  events: TraceEvent[];
  invocations: Invocation[];
  connection?: string;
  failed: boolean;
}

/** All turns of a trace, in the order of their beginnings. Events are added as they come. */
export class TurnLog {
  turns: Turn[] = [];
  #ofRequest = new Map<string, Turn>();
  #invocation = new Map<string, Invocation>();
  #caller = new Map<string, string>();
  #waiting = new Map<string, Turn[]>();
  #handshake = new Map<string, Turn>();
  #ended = new Map<string, Turn>();
  #answered = new Map<string, Turn>();
  #sent = new Map<string, TraceEvent>();
  #byNumber = new Map<number, Turn>();

  /** Add events in the order of their numbers. */
  add(events: Iterable<TraceEvent>): void {
    let last = 0;
    for (const event of events) {
      this.#add(event);
      last = event.number;
    }
    for (const [connection, sent] of [...this.#sent]) {
      // The post of a frame is recorded right after it.
      if (sent.number < last - 2) {
        this.#flush(connection);
      }
    }
  }

  /** Return the turn that an event belongs to. */
  of(number: number): Turn | undefined {
    return this.#byNumber.get(number);
  }

  #add(event: TraceEvent): void {
    const connection = event.connection_id ?? "";
    switch (event.kind) {
      case "frame_in":
        return this.#queue(connection, this.#begin("frame", event));
      case "frame_out":
        this.#flush(connection);
        this.#sent.set(connection, event);
        return;
      case "start":
        return this.#start(event);
      case "post":
        return this.#post(event);
      case "open":
        return void this.#put(this.#handshake.get(connection) ?? this.#begin("connect"), event);
      case "close": {
        const turn = this.#begin("disconnect", event);
        this.#ended.set(connection, turn);
        this.#handshake.delete(connection);
        return;
      }
      case "route":
      case "unrouted":
      case "limit":
        return this.#answer(event);
      case "http": {
        const turn = this.#put(this.#known(event) ?? this.#begin("http"), event);
        turn.cause = "http";
        return;
      }
      case "refuse":
        return void this.#put(this.#handshake.get(connection) ?? this.#begin("connect"), event);
      case "fault":
        return this.#fault(event);
      default:
        return this.#other(event);
    }
  }

  #begin(cause: Cause, event?: TraceEvent): Turn {
    const turn: Turn = { id: 0, cause, at: 0, until: 0, events: [], invocations: [], failed: false };
    return event ? this.#put(turn, event) : turn;
  }

  /** Put an event into a turn, which is in the list from its first event on. */
  #put(turn: Turn, event: TraceEvent): Turn {
    if (turn.events.length === 0) {
      turn.id = event.number;
      turn.at = turn.until = event.at;
      this.turns.push(turn);
    }
    turn.events.push(event);
    turn.until = Math.max(turn.until, event.at);
    turn.failed ||= hasFailed(event);
    if (!turn.connection && event.connection_id) {
      turn.connection = event.connection_id;
    }
    this.#byNumber.set(event.number, turn);
    return turn;
  }

  #queue(connection: string, turn: Turn): void {
    const waiting = this.#waiting.get(connection);
    if (waiting) {
      waiting.push(turn);
    } else {
      this.#waiting.set(connection, [turn]);
    }
  }

  #known(event: TraceEvent): Turn | undefined {
    return event.request_id ? this.#ofRequest.get(event.request_id) : undefined;
  }

  #start(event: TraceEvent): void {
    const request = event.request_id ?? "";
    const caller = this.#invocation.get(this.#caller.get(request) ?? "");
    const turn = this.#known(event) ?? (caller && this.#ofRequest.get(caller.requestId)) ?? this.#rootOf(event);
    this.#put(turn, event);
    const invocation: Invocation = { requestId: request, function: event.function ?? "", start: event, events: [] };
    if (caller) {
      invocation.parent = caller;
    }
    turn.invocations.push(invocation);
    this.#invocation.set(request, invocation);
    this.#ofRequest.set(request, turn);
  }

  /** Return the turn of an invocation that no other one has called. */
  #rootOf(event: TraceEvent): Turn {
    const connection = event.connection_id;
    if (event.caller === "replay") {
      return this.#begin("replay");
    }
    if (event.caller !== "gateway" || connection === undefined) {
      return this.#begin("event");
    }
    const ended = this.#ended.get(connection);
    const waiting = this.#waiting.get(connection)?.shift();
    if (waiting || ended) {
      return (waiting ?? ended)!;
    }
    // An authorizer and `$connect` are one handshake.
    const handshake = this.#handshake.get(connection) ?? this.#begin("connect");
    this.#handshake.set(connection, handshake);
    return handshake;
  }

  #post(event: TraceEvent): void {
    const turn = this.#known(event) ?? this.#begin("other");
    const sent = this.#sent.get(event.connection_id ?? "");
    if (sent && event.status === 200) {
      this.#sent.delete(event.connection_id ?? "");
      this.#put(turn, sent);
    }
    this.#put(turn, event);
    this.#invocation.get(event.request_id ?? "")?.events.push(event);
  }

  /** Add what the gateway did with the oldest frame that waits, or with the one of this request. */
  #answer(event: TraceEvent): void {
    const connection = event.connection_id ?? "";
    const isOfFrame = event.kind !== "limit" || String(event["what"]).includes("not handled");
    const waiting = isOfFrame && !this.#known(event) ? this.#waiting.get(connection)?.shift() : undefined;
    const turn = this.#known(event) ?? waiting ?? this.#ended.get(connection) ?? this.#handshake.get(connection) ?? this.#begin("other");
    this.#put(turn, event);
    // A frame that no post follows is the gateway's own answer.
    this.#flush(connection);
    this.#answered.set(connection, turn);
  }

  #flush(connection: string): void {
    const sent = this.#sent.get(connection);
    if (sent) {
      this.#sent.delete(connection);
      this.#put(this.#answered.get(connection) ?? this.#begin("other"), sent);
    }
  }

  /** A fault at a frame comes before its invocation. One that loses the frame leaves none. */
  #fault(event: TraceEvent): void {
    const waiting = this.#waiting.get(event.connection_id ?? "");
    if (event["point"] === "message" && waiting?.[0]) {
      this.#put(waiting[0], event);
      return;
    }
    this.#other(event);
  }

  #other(event: TraceEvent): void {
    const request = event.request_id ?? "";
    const turn = this.#put(this.#known(event) ?? this.#begin(event.kind === "wait" || event.kind === "throttle" ? "event" : "other"), event);
    const invocation = this.#invocation.get(request);
    if (event.kind === "end") {
      if (invocation) {
        invocation.end = event;
      }
      return;
    }
    invocation?.events.push(event);
    if (event.invoked && invocation) {
      this.#caller.set(event.invoked, request);
      this.#adopt(event.invoked, invocation, turn);
    }
  }

  /** Move an invocation that began before its call was recorded, with all that it led to, into its caller's turn. */
  #adopt(request: string, parent: Invocation, turn: Turn): void {
    const orphan = this.#ofRequest.get(request);
    const first = orphan?.invocations.find((each) => each.requestId === request);
    if (!orphan || orphan === turn || !first || orphan.invocations[0] !== first) {
      return;
    }
    first.parent = parent;
    for (const event of orphan.events) {
      this.#put(turn, event);
    }
    turn.events.sort((one, other) => one.number - other.number);
    for (const invocation of orphan.invocations) {
      turn.invocations.push(invocation);
      this.#ofRequest.set(invocation.requestId, turn);
    }
    this.turns.splice(this.turns.lastIndexOf(orphan), 1);
  }
}

/** Return the turns of a whole trace. */
export function turnsOf(events: Iterable<TraceEvent>): Turn[] {
  const log = new TurnLog();
  log.add(events);
  return log.turns;
}
