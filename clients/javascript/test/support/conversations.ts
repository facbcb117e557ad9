import { type Chat, type ChatSnapshot, ParleyClient, type ReplyEvent, type Turn } from "../../src/index.ts";
import { Server, type Step, toolCall } from "./server.ts";
import { World } from "./world.ts";

/** A world with a server, and clients in it. */
export interface Scene {
  readonly world: World;
  readonly server: Server;
  client(options?: Partial<ConstructorParameters<typeof ParleyClient>[0]>): ParleyClient;
}

export function scene(script?: (text: string) => Step[], seed = 1): Scene {
  const world = new World(seed);
  const server = new Server(world, script);
  const url = "wss://parley.example/live";
  const client: Scene["client"] = (options = {}) =>
    new ParleyClient({ url, token: "alice", WebSocket: server.WebSocket, runtime: world, ...options });
  return { world, server, client };
}

/** Return the events of a turn as they come. They are read beside the test. */
export function eventsOf(turn: Turn): ReplyEvent[] {
  const events: ReplyEvent[] = [];
  void (async () => {
    for await (const event of turn.events) {
      events.push(event);
    }
  })().catch(() => {});
  return events;
}

/** Return the text that a reader of events has at the end. */
export function textOf(events: readonly ReplyEvent[]): string {
  let text = "";
  for (const event of events) {
    text = event.type === "restart" ? "" : event.type === "text" ? text + event.text : text;
  }
  return text;
}

/** Return each message that is shown as its role, its text and its status. */
export function shown(chat: Chat): string[] {
  return chat.snapshot.messages.map(({ role, text, status }) => `${role} ${status}: ${text}`);
}

/** Look at each snapshot of a chat. Returns what was shown twice in one of them. */
export function watch(chat: Chat): string[] {
  const twice: string[] = [];
  chat.subscribe(() => twice.push(...repeated(chat.snapshot)));
  return twice;
}

function repeated({ messages }: ChatSnapshot): string[] {
  const ids = messages.map(({ id }) => id);
  const said = messages.filter(({ role }) => role === "user").map(({ text }) => text);
  return [ids, said].flatMap((all) => all.filter((each, index) => all.indexOf(each) < index));
}

/** A reply with everything that a reply may have. */
export const RICH: Step[] = [
  { index: 0, part: { kind: "reasoning", text: "Let me " } },
  { index: 0, part: { kind: "reasoning", text: "think." } },
  "The lamp ",
  { index: 1, part: toolCall("call-1", "running") },
  { index: 1, part: { ...toolCall("call-1", "done"), result: "on" } as never },
  "is on. ",
  "Ελλάδα 🍵 ",
  { index: 2, part: { kind: "source", url: "https://tea.example", title: "Tea" } },
  "Bye.",
];
