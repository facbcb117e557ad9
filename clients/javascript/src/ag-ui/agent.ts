import {
  AbstractAgent,
  type AgentCapabilities,
  type AgentConfig,
  type BaseEvent,
  EventType,
  type AGUIEvent,
  type Message as AgentMessage,
  type ResumeEntry,
  type RunAgentInput,
  type RunFinishedOutcome,
} from "@ag-ui/client";
import { Observable, type Subscriber } from "rxjs";
import { approve, ask, askAgain, cancel, type Ids, onAbort, type Request, unlessAborted } from "../adapters/ask.ts";
import { Chats, type NewChat } from "../adapters/chats.ts";
import { follow, inReadingOrder, type Timers } from "../adapters/follow.ts";
import { keyOf, type Shown } from "../adapters/progress.ts";
import type { Chat } from "../chat.ts";
import type { ParleyClient } from "../client.ts";
import { ParleyError } from "../errors.ts";
import type { HttpApi } from "../http.ts";
import { systemRuntime } from "../runtime.ts";
import type { Message, ToolCallPart, Turn } from "../types.ts";
import { ReplyEvents } from "./events.ts";
import { questionOf, replyMessages, toAgentMessages } from "./messages.ts";

export interface ParleyAgentConfig extends AgentConfig, NewChat {
  client: ParleyClient;
  /** The HTTP API (`client.http(url)`), to send files. */
  http?: HttpApi;
  /** The timers, for tests. */
  timers?: Timers;
}

/** The reply that a run shows. */
interface Begun {
  readonly chat: Chat;
  /** `undefined` if none runs. */
  readonly turn: Turn | undefined;
  /** What the screen has of it. */
  readonly shown?: Shown;
  /** The reply has begun before the run. */
  readonly isLate?: boolean;
}

/** The Observable of AG-UI's own copy of RxJS, whose types differ from those of any other copy. */
type Events = ReturnType<AbstractAgent["run"]>;

/** What an agent and its clones share. */
interface Shared {
  readonly chats: Chats;
  readonly http: HttpApi | undefined;
  readonly timers: Timers;
  readonly ids: Ids;
}

/**
 * An agent of AG-UI that is a chat of Parley. `threadId` is the id of the chat, or one that the application has made up:
 * then the chat is created with the first message.
 */
export class ParleyAgent extends AbstractAgent {
  // No `#names` here: `clone()` makes objects without the constructor.
  private shared: Shared;
  private stopping = new AbortController();

  constructor({ client, http, timers, assistant, title, ...config }: ParleyAgentConfig) {
    super(config);
    const newChat = { ...(assistant !== undefined && { assistant }), ...(title !== undefined && { title }) };
    this.shared = { chats: new Chats(client, newChat), http, timers: timers ?? systemRuntime, ids: new Map() };
  }

  /** Return the chat of this agent's thread, `undefined` before the first message of a new one. */
  chat(): Promise<Chat | undefined> {
    return this.shared.chats.find(this.threadId);
  }

  override clone(): ParleyAgent {
    const cloned = super.clone() as ParleyAgent;
    cloned.shared = this.shared;
    cloned.stopping = new AbortController();
    return cloned;
  }

  override async getCapabilities(): Promise<AgentCapabilities> {
    return {
      transport: { streaming: true, websocket: true, resumable: true },
      tools: { supported: true, clientProvided: false },
      reasoning: { supported: true, streaming: true },
      humanInTheLoop: { supported: true, approvals: true, interrupts: true },
    };
  }

  override run(input: RunAgentInput): Events {
    return this.events(input, async (signal, show) => {
      const chat = await unlessAborted(this.shared.chats.findOrCreate(input.threadId), signal);
      if (input.resume !== undefined) {
        return (await answer(chat, input.resume)) ?? this.shown(chat, show);
      }
      return { chat, turn: await this.ask(chat, input.messages, signal) };
    });
  }

  /** Show the chat: its messages, and the reply that runs or waits. For `connectAgent()`. */
  protected override connect(input: RunAgentInput): Events {
    return this.events(input, async (signal, show) => {
      const chat = await unlessAborted(this.shared.chats.find(input.threadId), signal);
      return chat && this.shown(chat, show);
    });
  }

  /** End the reply that runs. It keeps the text that there is. */
  override abortRun(): void {
    this.stopping.abort();
  }

  /** The events of one run. `begin` finds the reply. */
  private events(
    input: RunAgentInput,
    begin: (signal: AbortSignal, show: (event: AGUIEvent) => void) => Promise<Begun | undefined>,
  ): Events {
    const { threadId, runId } = input;
    return new Observable<BaseEvent>((subscriber) => {
      this.stopping = new AbortController();
      const { signal } = this.stopping;
      const show = (event: AGUIEvent) => subscriber.next(event as BaseEvent);
      const run = async () => {
        show({ type: EventType.RUN_STARTED, threadId, runId });
        const begun = await begin(signal, show);
        if (begun?.turn === undefined) {
          show(finished(input, { type: "success" }));
          return;
        }
        onAbort(signal, begun.turn, () => cancel(begun.chat));
        await this.follow(begun.turn, begun, input, subscriber);
      };
      run()
        .catch((error: unknown) => show(signal.aborted ? cancelled(input) : failed(error)))
        .finally(() => subscriber.complete());
    }) as unknown as Events;
  }

  private async follow(
    turn: Turn,
    { shown, isLate }: Begun,
    input: RunAgentInput,
    subscriber: Subscriber<BaseEvent>,
  ): Promise<void> {
    let events = new ReplyEvents("");
    const show = (...all: AGUIEvent[]) => all.forEach((event) => subscriber.next(event as BaseEvent));
    const { timers } = this.shared;
    const ordered = isLate ? inReadingOrder(turn.events, timers) : turn.events;
    for await (const happening of follow(ordered, timers, shown)) {
      if (subscriber.closed) {
        return; // Nobody listens any more. The reply goes on at the server.
      }
      switch (happening.type) {
        case "start":
          events = new ReplyEvents(happening.messageId, shown);
          break;
        case "change": {
          const { change } = happening;
          if (change.type !== "restart") {
            show(...events.of(change));
            break;
          }
          show(...events.close(), ...anew(events.replyId, change.now, input.messages));
          events = new ReplyEvents(events.replyId, change.now);
          break;
        }
        case "wait":
          show(...events.close(), finished(input, { type: "interrupt", interrupts: happening.calls.map(interrupt) }));
          break;
        case "end":
          show(...events.close(), ...ended(happening.message, input));
          break;
      }
    }
  }

  /** Show all messages but the reply that runs or waits, and return that one. */
  private shown(chat: Chat, show: (event: AGUIEvent) => void): Begun {
    const messages = chat.snapshot.messages.filter((message) => message.id !== chat.snapshot.replyId);
    show({ type: EventType.MESSAGES_SNAPSHOT, messages: toAgentMessages(messages).map((message) => this.named(message)) });
    return { chat, turn: chat.resume(), isLate: true };
  }

  /** Ask what the newest message of the user asks. Earlier ones are the server's already. */
  private async ask(chat: Chat, messages: readonly AgentMessage[], signal: AbortSignal): Promise<Turn> {
    const last = messages.at(-1);
    if (last?.role !== "user") {
      const running = chat.resume();
      if (running !== undefined) {
        return running;
      }
      throw new ParleyError("message_empty", "The last message is not one of the user. Tools run at the server: it takes no results.");
    }
    const question = questionOf(last);
    const { ids, http } = this.shared;
    const isKnown = ids.has(last.id) || chat.snapshot.messages.some(({ id }) => id === last.id);
    const request: Request = isKnown ? askAgain(question, chat.snapshot.messages, ids) : { type: "send", question };
    return ask(chat, request, { ids, http, signal });
  }

  /** Return a message of the history by the id under which the application has sent it. */
  private named(message: AgentMessage): AgentMessage {
    for (const [id, messageId] of this.shared.ids) {
      if (messageId === message.id) {
        return { ...message, id };
      }
    }
    return message;
  }
}

/** Answer for the calls that wait. The reply goes on, with what the screen has of it. `undefined`: it has ended by now. */
async function answer(chat: Chat, entries: readonly ResumeEntry[]): Promise<Begun | undefined> {
  const turn = chat.resume();
  const reply = chat.snapshot.messages.find(({ id }) => id === chat.snapshot.replyId);
  if (turn === undefined || reply === undefined) {
    return undefined;
  }
  const shown = { text: reply.text, parts: new Map(reply.parts.map((part) => [keyOf(part), part])) };
  for (const { interruptId, status, payload } of entries) {
    await approve(chat, interruptId, status === "resolved" && isYes(payload));
  }
  return { chat, turn, shown };
}

/** Return true if an answer approves the call: `true`, or what `responseSchema` asks for. Anything else refuses it. */
function isYes(payload: unknown): boolean {
  return payload === true || (typeof payload === "object" && payload !== null && "approved" in payload && payload.approved === true);
}

function interrupt({ callId, name }: ToolCallPart) {
  const properties = { approved: { type: "boolean" } };
  const responseSchema = { type: "object", properties, required: ["approved"] };
  return { id: callId, reason: "tool_call", message: `May ${name} be called?`, toolCallId: callId, responseSchema };
}

/**
 * All messages, with those of a reply that is made anew as it is now. A snapshot leaves a message where it stood, so one
 * without them comes first.
 */
function anew(replyId: string, { text, parts }: Shown, messages: readonly AgentMessage[]): AGUIEvent[] {
  const others = messages.filter(({ id }) => id !== replyId && !id.startsWith(`${replyId}:`));
  return [
    { type: EventType.MESSAGES_SNAPSHOT, messages: others },
    { type: EventType.MESSAGES_SNAPSHOT, messages: [...others, ...replyMessages(replyId, text, parts.values())] },
  ];
}

function ended(message: Message, input: RunAgentInput): AGUIEvent[] {
  const { id: messageId, finishReason, usage, cost } = message;
  const value = { messageId, ...(finishReason && { finishReason }), ...(usage && { usage }), ...(cost && { cost }) };
  const end = finishReason === "cancelled" ? cancelled(input) : finished(input, { type: "success" });
  const tokens = usage && [{ inputTokens: usage.promptTokens, outputTokens: usage.completionTokens }];
  return [{ type: EventType.CUSTOM, name: "parley.turn", value }, { ...end, ...(tokens && { usage: tokens }) }];
}

function finished({ threadId, runId }: RunAgentInput, outcome: RunFinishedOutcome) {
  return { type: EventType.RUN_FINISHED as const, threadId, runId, outcome };
}

/** The end of a run that was stopped. Before version 1.0, AG-UI has no outcome for it, and does not say its version. */
function cancelled(input: RunAgentInput): AGUIEvent {
  return finished(input, { type: input.protocolVersion === undefined ? "success" : "cancelled" });
}

function failed(error: unknown): AGUIEvent {
  const message = error instanceof Error ? error.message : String(error);
  return { type: EventType.RUN_ERROR, message, ...(error instanceof ParleyError && { code: error.code }) };
}
