/** The connection dies at every frame of a conversation, in both directions: nothing is lost or comes twice. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Chat } from "../src/index.ts";
import { RICH, type Scene, eventsOf, scene, shown, textOf, watch } from "./support/conversations.ts";
import type { Server, Step } from "./support/server.ts";

type Fate = ReturnType<Server["fate"]>;

/** Have a conversation, and return what the user sees at the end. */
type Conversation = (scene: Scene) => Promise<string[]>;

const script = (text: string): Step[] => {
  switch (text) {
    case "rich":
      return [...RICH];
    case "two attempts":
      return ["One, ", "two, ", "NEW ATTEMPT", "One, ", "two, ", "three."];
    case "approve":
      return ["May I? ", { waitFor: "call-1" }, "Thanks."];
    default:
      return [`On ${text}: `, "this ", "and that."];
  }
};

/** Send a message and wait for the reply. What a reader of the events has must be the reply. */
async function ask({ world }: Scene, chat: Chat, text: string, replaces?: string): Promise<string> {
  const turn = replaces === undefined ? chat.send(text) : chat.edit(replaces, text);
  const events = eventsOf(turn);
  const { messageId } = await world.until(turn.accepted);
  const reply = await world.until(turn.reply);
  await world.pass(0);
  assert.equal(textOf(events), reply.text);
  assert.equal(events.at(-1)?.type, "end");
  return messageId;
}

async function talk(stage: Scene): Promise<string[]> {
  const { world, server, client } = stage;
  const chat = await world.until(client().createChat({ title: "Tea" }));
  const twice = watch(chat);
  await ask(stage, chat, "rich");
  await ask(stage, chat, "two attempts");
  // The connection may die after all was said, too.
  await world.pass(60_000);
  const stored = server.path(server.only).map(({ view }) => view.content);
  assert.deepEqual(
    chat.snapshot.messages.map(({ text }) => text),
    stored,
  );
  const [, reply] = chat.snapshot.messages;
  assert.deepEqual(
    reply?.parts.map(({ kind, offset }) => [kind, offset]),
    [
      ["reasoning", 0],
      ["tool_call", 9],
      ["source", 26],
    ],
  );
  assert.equal(reply?.parts[0]?.kind === "reasoning" && reply.parts[0].text, "Let me think.");
  assert.deepEqual(twice, []);
  return shown(chat);
}

async function branch(stage: Scene): Promise<string[]> {
  const { world, server, client } = stage;
  const chat = await world.until(client().createChat());
  const twice = watch(chat);
  const first = await ask(stage, chat, "tea");
  const again = chat.regenerate();
  const events = eventsOf(again);
  const reply = await world.until(again.reply);
  await world.pass(0);
  assert.equal(textOf(events), reply.text);
  await ask(stage, chat, "coffee", first);
  await world.until(chat.select(first));
  await world.pass(60_000);
  // The message and its edit, the first reply, the one that was made anew, and the one to the edit.
  assert.equal(server.only.messages.size, 5);
  assert.deepEqual(
    chat.snapshot.messages.map(({ id }) => id),
    server.path(server.only).map(({ view }) => view.messageId),
  );
  assert.equal(chat.snapshot.messages[0]?.siblings?.length, 2);
  assert.equal(chat.snapshot.messages[1]?.siblings?.length, 2);
  assert.deepEqual(twice, []);
  return shown(chat);
}

async function approve(stage: Scene): Promise<string[]> {
  const { world, server, client } = stage;
  const chat = await world.until(client().createChat());
  const twice = watch(chat);
  const turn = chat.send("approve");
  const events = eventsOf(turn);
  while (chat.snapshot.state !== "waiting") {
    await world.pass(100);
  }
  await world.until(chat.approve("call-1", true));
  const reply = await world.until(turn.reply);
  await world.pass(60_000);
  assert.equal(textOf(events), reply.text);
  assert.equal(reply.parts[0]?.kind === "tool_call" && reply.parts[0].state, "done");
  assert.deepEqual(
    server.texts(),
    chat.snapshot.messages.map(({ text }) => text),
  );
  assert.deepEqual(twice, []);
  return shown(chat);
}

async function typeAhead(stage: Scene): Promise<string[]> {
  const { world, server, client } = stage;
  const chat = await world.until(client().createChat());
  const twice = watch(chat);
  const turns = ["one", "two", "three"].map((text) => chat.send(text));
  await world.until(Promise.all(turns.map((turn) => turn.reply)));
  await world.pass(60_000);
  assert.deepEqual(
    server.texts(),
    chat.snapshot.messages.map(({ text }) => text),
  );
  assert.deepEqual(twice, []);
  return shown(chat);
}

for (const [name, conversation] of Object.entries({ talk, branch, approve, typeAhead }) as [string, Conversation][]) {
  test(`${name}: whatever frame the connection dies at, the user sees the same at the end`, async (context) => {
    const whole = scene(script);
    const expected = await conversation(whole);
    const frames = whole.server.frames.length;
    assert.ok(frames > 10);
    for (const fate of ["cut", "deliver and cut", "lose"] as Fate[]) {
      for (let at = 1; at <= frames; at++) {
        const stage = scene(script, at);
        // Nothing says that the last state of a part is missing, so no server loses it without the connection.
        const canBe = (type: string) => fate !== "lose" || type !== "assistant_message_part";
        stage.server.fate = (number, _from, type) => (number === at && canBe(type) ? fate : "deliver");
        try {
          assert.deepEqual(await conversation(stage), expected);
        } catch (error) {
          const log = stage.server.frames.map(({ from, connection, frame }, index) => {
            return `${index + 1}${index + 1 === at ? ` ${fate}` : ""} ${connection} ${from} ${JSON.stringify(frame)}`;
          });
          context.diagnostic(`frame ${at}, ${fate}\n${log.join("\n")}`);
          throw error;
        }
      }
    }
  });
}

test("the connection dies again and again, at frames chosen by chance", async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const stage = scene(script, seed);
    const expected = await talk(scene(script));
    stage.server.fate = (_number, _from, type) => {
      const chance = stage.world.random();
      const lost = type === "assistant_message_part" ? "deliver" : "lose";
      return chance < 0.04 ? "cut" : chance < 0.08 ? "deliver and cut" : chance < 0.1 ? lost : "deliver";
    };
    assert.deepEqual(await talk(stage), expected, `seed ${seed}`);
  }
});
