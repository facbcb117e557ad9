/** The joins of one chat: which one is on its way, which reply it resumes, and when the next one is due. */
import { ANSWER_PATIENCE } from "./requests.ts";

/** The least time between two joins of which the second one is asked for because something is missing. */
const PAUSE = 1000;

export class Joins {
  /** When the chat is to be joined again, in milliseconds since 1970. */
  dueAt: number | undefined;

  /** The newest join. A join that is on its way is always this one. */
  #newest: { requestId: string; resumed: string | undefined; sentAt: number } | undefined;
  #isOnItsWay = false;
  /** The reply that the last answer has resumed. */
  #resumed: string | undefined;

  /** A join is sent. `resumed` is the reply of which it asks the rest. */
  sent(requestId: string, resumed: string | undefined, now: number): void {
    this.#newest = { requestId, resumed, sentAt: now };
    this.#isOnItsWay = true;
    this.#resumed = this.dueAt = undefined;
  }

  /** The newest join is refused. Returns the reply of which it asked the rest. */
  refused(): string | undefined {
    const resumed = this.#isOnItsWay ? this.#newest?.resumed : undefined;
    this.#isOnItsWay = false;
    return resumed;
  }

  /** The newest join is answered, for the first time or once more. Returns the reply of which the answer has the rest. */
  answered(): string | undefined {
    if (this.#isOnItsWay) {
      this.#resumed = this.#newest?.resumed;
    }
    this.#isOnItsWay = false;
    return this.#resumed;
  }

  /** The connection is lost: nothing is on its way, and none is due before there is another one. */
  drop(): void {
    this.#isOnItsWay = false;
    this.dueAt = undefined;
  }

  /** The answer to an earlier join may be older than what was heard since, so it does not count. */
  isNewest(requestId: string | undefined): boolean {
    return requestId === this.#newest?.requestId;
  }

  /** This request is the join that is on its way. */
  awaits(requestId: string | undefined): boolean {
    return this.#isOnItsWay && this.isNewest(requestId);
  }

  get isOnItsWay(): boolean {
    return this.#isOnItsWay;
  }

  /** When the join that is on its way has waited long enough for an answer. */
  get lateAt(): number | undefined {
    return this.#isOnItsWay && this.#newest ? this.#newest.sentAt + ANSWER_PATIENCE : undefined;
  }

  /** Something is missing: the next join is due as soon as the pause allows. */
  schedule(now: number): void {
    this.dueAt = this.#newest === undefined ? now : Math.max(now, this.#newest.sentAt + PAUSE);
  }

  hasResumed(messageId: string | undefined): boolean {
    return this.#resumed === messageId;
  }

  /** Resume what was resumed once more. */
  forgetResumed(): void {
    this.#resumed = undefined;
  }
}
