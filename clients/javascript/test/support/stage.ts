import type { TestContext } from "node:test";
import { ParleyClient } from "../../src/index.ts";
import { Server, type Step, toolCall } from "./server.ts";
import { World } from "./world.ts";

export interface Stage {
  readonly world: World;
  readonly server: Server;
  /** Return a new client. It is closed after the test. */
  client(): ParleyClient;
}

/** Return a world with a server, for the test of an adapter. */
export function stage(context: TestContext, script?: (text: string) => Step[]): Stage {
  const world = new World();
  const server = new Server(world, script);
  const client = () => {
    const made = new ParleyClient({ url: "wss://parley.example", token: "alice", WebSocket: server.WebSocket, runtime: world });
    context.after(() => made.close());
    return made;
  };
  return { world, server, client };
}

/** A reply with a part of every kind. */
export const RICH: Step[] = [
  { index: 0, part: { kind: "reasoning", text: "Let me " } },
  { index: 0, part: { kind: "reasoning", text: "think." } },
  "The lamp ",
  { index: 1, part: toolCall("call-1", "running") },
  { index: 1, part: { ...toolCall("call-1", "done"), result: '{"on":true}' } as never },
  "is ",
  "on.",
  { index: 2, part: { kind: "source", url: "https://tea.example", title: "Tea" } },
];

/** A reply that is made anew, and says something else. */
export const OTHER_ATTEMPT: Step[] = [
  "Tea is ",
  { index: 0, part: toolCall("call-1", "done") },
  "good.",
  "NEW ATTEMPT",
  ...RICH,
];
