import assert from "node:assert/strict";
import { test } from "node:test";
import { ParleyClient } from "../src/index.ts";
import { Server } from "./support/server.ts";
import { World } from "./support/world.ts";

test("a message is answered", async () => {
  const world = new World();
  const server = new Server(world);
  const client = new ParleyClient({ url: "wss://example.org/live", token: "alice", WebSocket: server.WebSocket, runtime: world });
  const chat = await world.until(client.createChat());
  const turn = chat.send("Hello");
  const reply = await world.until(turn.reply);
  assert.equal(reply.text, "You said: Hello");
  assert.deepEqual(chat.snapshot.messages.map(({ text, status }) => [text, status]), [["Hello", "done"], ["You said: Hello", "done"]]);
  assert.equal(chat.snapshot.state, "ready");
  client.close();
  assert.equal(world.timers, 0);
});
