/** What is asked of the server and not answered, and when it is sent, and sent again. */
import type { ClientFrame, CreateChatData } from "./frames.ts";
import type { Pending } from "./pending.ts";
import type { Transcript } from "./transcript.ts";

export type Ask =
  | { kind: "message"; message: Pending }
  | { kind: "regenerate"; replaced: string | undefined }
  | { kind: "cancel"; messageId: string | undefined }
  | { kind: "approve"; callId: string; approved: boolean }
  | { kind: "select"; messageId: string; isSelected: boolean }
  | { kind: "history"; before: string; limit: number | undefined }
  | { kind: "create"; data: CreateChatData; isRepeat: boolean };

export interface Request {
  readonly requestId: string;
  readonly ask: Ask;
  /** When it was sent on the connection that there is now. */
  sentAt: number | undefined;
  /** How often it was sent, on any connection. */
  tries: number;
  notBefore: number;
}

/** After this time without an answer, a request is sent again. */
export const ANSWER_PATIENCE = 10_000;

export class Requests {
  readonly #requests: Request[] = [];

  /** All requests, in the order in which they were asked. */
  get all(): readonly Request[] {
    return [...this.#requests];
  }

  /** Those whose answer may come on the connection that there is now. */
  get sent(): readonly Request[] {
    return this.#requests.filter(({ sentAt }) => sentAt !== undefined);
  }

  /** The first one that begins a turn. */
  get firstTurn(): Request | undefined {
    return this.#requests.find(beginsTurn);
  }

  add(requestId: string, ask: Ask): Request {
    const request = { requestId, ask, sentAt: undefined, tries: 0, notBefore: 0 };
    this.#requests.push(request);
    return request;
  }

  find(requestId: string | undefined): Request | undefined {
    return this.#requests.find((each) => each.requestId === requestId);
  }

  ofMessage(message: Pending | undefined): Request | undefined {
    return this.#requests.find(({ ask }) => ask.kind === "message" && ask.message === message);
  }

  remove(request: Request): void {
    const index = this.#requests.indexOf(request);
    if (index >= 0) {
      this.#requests.splice(index, 1);
    }
  }

  /** Nothing that was sent is answered on its connection any more. */
  unsend(now: number): void {
    for (const request of this.#requests) {
      request.sentAt = undefined;
      request.notBefore = Math.max(request.notBefore, now);
    }
  }

  /** Return those that may be sent, or whose answer is awaited. */
  due(transcript: Transcript, hasChat: boolean): readonly Request[] {
    return this.#requests.filter((request) => this.isDue(request, transcript, hasChat));
  }

  /** Messages go one after the other, and while no reply is made. */
  isDue(request: Request, transcript: Transcript, hasChat: boolean): boolean {
    const { ask, sentAt } = request;
    if (!hasChat || ask.kind === "create") {
      return ask.kind === "create";
    }
    if (ask.kind === "cancel") {
      return transcript.busy;
    }
    if (ask.kind === "select") {
      return !ask.isSelected;
    }
    return !beginsTurn(request) || sentAt !== undefined || (!transcript.busy && request === this.firstTurn);
  }
}

/** Return when something is to be done about a request. */
export function timeOf({ sentAt, notBefore }: Request): number {
  return sentAt === undefined ? notBefore : sentAt + ANSWER_PATIENCE;
}

/** Return the frame of a request. What it is about may become known only now: the reply that is cancelled. */
export function frameOf({ ask, requestId }: Request, transcript: Transcript): ClientFrame {
  switch (ask.kind) {
    case "create":
      return { type: "create_chat", requestId, data: ask.data };
    case "message": {
      const { text, clientMessageId, replaces } = ask.message;
      const attachments = ask.message.attachments.map((each) => (typeof each === "string" ? each : each.id));
      const data = { message: text, clientMessageId, ...(attachments.length > 0 && { attachments }) };
      return replaces === undefined
        ? { type: "message", requestId, data }
        : { type: "edit", requestId, data: { ...data, messageId: replaces } };
    }
    case "regenerate":
      ask.replaced = transcript.messages.at(-1)?.id;
      return { type: "regenerate", requestId };
    case "cancel":
      // An id, as soon as it is known: so that a repeat cancels no later reply.
      ask.messageId ??= transcript.running;
      return { type: "cancel", requestId, data: ask.messageId === undefined ? {} : { messageId: ask.messageId } };
    case "approve":
      return { type: "approve", requestId, data: { callId: ask.callId, approved: ask.approved } };
    case "select":
      return { type: "select", requestId, data: { messageId: ask.messageId } };
    case "history": {
      const limit = ask.limit === undefined ? {} : { limit: ask.limit };
      return { type: "load_history", requestId, data: { before: ask.before, ...limit } };
    }
  }
}

function beginsTurn({ ask }: Request): boolean {
  return ask.kind === "message" || ask.kind === "regenerate";
}
