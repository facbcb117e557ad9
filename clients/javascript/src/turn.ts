import type { ParleyError } from "./errors.ts";
import { Deferred } from "./events.ts";
import type { Message, ReplyEvent, Turn } from "./types.ts";

/** A turn that has not ended, as its chat sees it. */
export class OpenTurn implements Turn {
  readonly clientMessageId?: string;
  /** The id of the user's message, as soon as it is stored. */
  messageId: string | undefined;
  replyId: string | undefined;
  isOver = false;

  readonly #accepted = new Deferred<{ messageId: string }>();
  readonly #reply = new Deferred<Message>();
  readonly #streams = new Set<EventStream>();
  #failure: ParleyError | undefined;

  /** `replay` returns the events of a reply up to now. */
  constructor(
    private readonly replay: (messageId: string) => readonly ReplyEvent[],
    clientMessageId?: string,
  ) {
    if (clientMessageId !== undefined) {
      this.clientMessageId = clientMessageId;
    }
  }

  get accepted(): Promise<{ messageId: string }> {
    return this.#accepted.promise;
  }

  get reply(): Promise<Message> {
    return this.#reply.promise;
  }

  get events(): AsyncIterable<ReplyEvent> {
    return { [Symbol.asyncIterator]: () => this.#stream() };
  }

  accept(messageId: string): void {
    this.#accepted.resolve({ messageId });
  }

  /** The reply has begun. */
  begin(replyId: string): void {
    this.replyId = replyId;
    const events = this.#streams.size > 0 ? this.replay(replyId) : [];
    for (const stream of this.#streams) {
      stream.push(events);
    }
  }

  happened(event: ReplyEvent): void {
    for (const stream of this.#streams) {
      stream.push([event]);
    }
  }

  end(reply: Message): void {
    this.isOver = true;
    this.#reply.resolve(reply);
    this.#streams.clear();
  }

  fail(error: ParleyError): void {
    this.isOver = true;
    this.#failure = error;
    this.#accepted.reject(error);
    this.#reply.reject(error);
    for (const stream of this.#streams) {
      stream.fail(error);
    }
    this.#streams.clear();
  }

  #stream(): EventStream {
    const stream = new EventStream(() => this.#streams.delete(stream));
    if (this.replyId !== undefined) {
      stream.push(this.replay(this.replyId));
    }
    if (this.#failure !== undefined) {
      stream.fail(this.#failure);
    } else if (!this.isOver) {
      this.#streams.add(stream);
    }
    return stream;
  }
}

/** The events of one reply for one reader, who may be slow. It ends after `end`. */
class EventStream implements AsyncIterator<ReplyEvent, undefined> {
  readonly #events: ReplyEvent[] = [];
  #isOver = false;
  #failure: ParleyError | undefined;
  #wake: (() => void) | undefined;

  constructor(private readonly left: () => void) {}

  push(events: readonly ReplyEvent[]): void {
    this.#events.push(...events);
    this.#wake?.();
  }

  fail(error: ParleyError): void {
    this.#failure = error;
    this.#wake?.();
  }

  async next(): Promise<IteratorResult<ReplyEvent, undefined>> {
    while (this.#events.length === 0 && !this.#isOver) {
      if (this.#failure !== undefined) {
        this.#isOver = true;
        throw this.#failure;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const event = this.#events.shift();
    if (event === undefined || this.#isOver) {
      return { done: true, value: undefined };
    }
    this.#isOver = event.type === "end";
    return { done: false, value: event };
  }

  async return(): Promise<IteratorResult<ReplyEvent, undefined>> {
    this.#isOver = true;
    this.left();
    this.#wake?.();
    return { done: true, value: undefined };
  }
}
