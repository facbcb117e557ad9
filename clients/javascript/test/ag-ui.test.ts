/** The agent of AG-UI, run by AG-UI's own client, which verifies each event, and a server that keeps to the protocol. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type BaseEvent, buildResumeArray, EventType, type Message } from "@ag-ui/client";
import { ParleyAgent, toAgentMessages } from "../src/ag-ui/index.ts";
import type { Step } from "./support/server.ts";
import { OTHER_ATTEMPT, RICH, stage as makeStage } from "./support/stage.ts";

/** A server, and agents that talk to it. */
function stage(context: TestContext, script?: (text: string) => Step[]) {
  const { client, world, server } = makeStage(context, script);
  const agent = (config = {}) => new ParleyAgent({ client: client(), timers: world, ...config });
  let said = 0;
  /** Say something. Returns the events of the run. */
  const say = (to: ParleyAgent, content: string) => {
    said += 1;
    to.addMessage({ id: `u${said}`, role: "user", content });
    return run(to);
  };
  const run = async (on: ParleyAgent, parameters?: Parameters<ParleyAgent["runAgent"]>[0]) => {
    const events: BaseEvent[] = [];
    await world.until(on.runAgent(parameters, { onEvent: ({ event }) => void events.push(event) }));
    return events;
  };
  return { world, server, client, agent, say, run };
}

const types = (events: readonly BaseEvent[]) => events.map(({ type }) => type);

/** Return messages as their roles and texts, with the names of calls. */
function shown(messages: readonly Message[]): string[] {
  return messages.map((message) => {
    const calls = message.role === "assistant" ? (message.toolCalls ?? []).map((call) => ` +${call.function.name}`) : [];
    return `${message.role}: ${"content" in message ? String(message.content ?? "") : ""}${calls.join("")}`;
  });
}

const RICH_SHOWN = ["reasoning: Let me think.", "assistant: The lamp  +lamp", 'tool: {"on":true}', "assistant: is on."];

test("a message is answered, with every kind of part and with the cost of the turn", async (context) => {
  const { agent, say } = stage(context, () => [...RICH]);
  const tea = agent();
  const events = await say(tea, "Is the lamp on?");
  assert.deepEqual(types(events), [
    "RUN_STARTED",
    "REASONING_START",
    "REASONING_MESSAGE_START",
    "REASONING_MESSAGE_CONTENT",
    "REASONING_MESSAGE_CONTENT",
    "REASONING_MESSAGE_END",
    "REASONING_END",
    "TEXT_MESSAGE_START",
    "TEXT_MESSAGE_CONTENT",
    "TEXT_MESSAGE_END",
    "TOOL_CALL_START",
    "TOOL_CALL_ARGS",
    "TOOL_CALL_END",
    "TOOL_CALL_RESULT",
    "TEXT_MESSAGE_START",
    "TEXT_MESSAGE_CONTENT",
    "TEXT_MESSAGE_CONTENT",
    "CUSTOM",
    "TEXT_MESSAGE_END",
    "CUSTOM",
    "RUN_FINISHED",
  ]);
  assert.deepEqual(shown(tea.messages), ["user: Is the lamp on?", ...RICH_SHOWN]);
  const [source, turn] = events.filter(({ type }) => type === EventType.CUSTOM);
  assert.deepEqual([source?.["name"], turn?.["name"]], ["parley.source", "parley.turn"]);
  assert.deepEqual(events.at(-1)?.["usage"], [{ inputTokens: 1, outputTokens: 2 }]);
});

test("only the new message is sent, and the thread's chat is created once", async (context) => {
  const { server, agent, say } = stage(context);
  const tea = agent({ threadId: "tea" });
  await say(tea, "one");
  await say(tea.clone(), "two");
  assert.deepEqual(server.texts(), ["one", "You said: one", "two", "You said: two"]);
  assert.equal(server.only.chatId, "chat-tea");
});

test("abortRun() cancels the reply at the server, and the run ends as cancelled", async (context) => {
  const { world, server, agent } = stage(context, () => ["One, ", ...Array(1000).fill("more, ")]);
  const tea = agent();
  tea.addMessage({ id: "u1", role: "user", content: "long" });
  const outcomes: string[] = [];
  const running = tea.runAgent({}, { onRunFinishedEvent: ({ outcome }) => void outcomes.push(outcome) });
  await world.pass(1000);
  tea.abortRun();
  await world.until(running);
  assert.deepEqual(outcomes, ["cancelled"]);
  assert.equal(server.path(server.only).at(-1)?.view.finishReason, "cancelled");
});

test("a refused message ends the run with its code, and the same message may be run again", async (context) => {
  const { server, agent, say, run } = stage(context);
  const tea = agent();
  server.refusals.set("message", { code: "message_too_large" });
  const events = await say(tea, "tea");
  assert.deepEqual(types(events), ["RUN_STARTED", "RUN_ERROR"]);
  assert.equal(events[1]?.["code"], "message_too_large");
  await run(tea);
  assert.deepEqual(server.texts(), ["tea", "You said: tea"]);
});

test("a question that is run once more is answered anew", async (context) => {
  const { server, agent, say, run } = stage(context);
  const tea = agent();
  await say(tea, "tea");
  await say(tea, "coffee");
  tea.setMessages(tea.messages.slice(0, 3));
  await run(tea);
  assert.deepEqual(shown(tea.messages).slice(-2), ["user: coffee", "assistant: You said: again coffee"]);
  tea.setMessages(tea.messages.slice(0, 1));
  await run(tea);
  assert.deepEqual(shown(tea.messages), ["user: tea", "assistant: You said: tea"]);
  assert.deepEqual(server.texts(), ["tea", "You said: tea"]);
});

for (const approved of [true, false]) {
  test(`a call that waits is an interrupt, and the answer ${approved} goes on with the run`, async (context) => {
    const { server, agent, say, run } = stage(context, () => ["May I? ", { waitFor: "call-1" }, "Thanks."]);
    const tea = agent();
    const events = await say(tea, "tea");
    assert.deepEqual(tea.pendingInterrupts.map(({ id, reason, toolCallId }) => [id, reason, toolCallId]), [["call-1", "tool_call", "call-1"]]);
    assert.equal(events.at(-1)?.type, "RUN_FINISHED");
    const resume = buildResumeArray(tea.pendingInterrupts, { "call-1": { status: "resolved", payload: { approved } } });
    await run(tea, { resume });
    assert.deepEqual(shown(tea.messages), ["user: tea", "assistant: May I?  +lamp", "tool: 42", "assistant: Thanks."]);
    assert.equal(tea.pendingInterrupts.length, 0);
    const answer = server.frames.find(({ frame }) => frame.type === "approve")?.frame.data;
    assert.deepEqual(answer, { callId: "call-1", approved });
  });
}

test("an answer after that of another device shows the reply that has ended", async (context) => {
  const { world, client, agent, say, run } = stage(context, () => ["May I? ", { waitFor: "call-1" }, "Thanks."]);
  const tea = agent({ threadId: "tea" });
  await say(tea, "tea");
  const other = await world.until(client().openChat("chat-tea"));
  await world.until(other.approve("call-1", true));
  await world.pass(5000);
  await run(tea, { resume: [{ interruptId: "call-1", status: "resolved", payload: { approved: false } }] });
  assert.deepEqual(shown(tea.messages), ["user: tea", "assistant: May I?  +lamp", "tool: 42", "assistant: Thanks."]);
  assert.equal(tea.pendingInterrupts.length, 0);
});

test("connectAgent() shows the history and goes on with the reply that runs", async (context) => {
  const { world, server, agent } = stage(context, () => [...RICH]);
  server.store(server.newChat("chat-1"), "tea", "Yes.");
  const first = agent({ threadId: "chat-1" });
  first.addMessage({ id: "u1", role: "user", content: "Is the lamp on?" });
  const running = first.runAgent();
  await world.pass(400);
  const second = agent({ threadId: "chat-1" });
  await world.until(second.connectAgent());
  await world.until(running);
  assert.deepEqual(shown(second.messages), ["user: tea", "assistant: Yes.", "user: Is the lamp on?", ...RICH_SHOWN]);
});

test("connectAgent() shows a call that waits, and its answer goes on", async (context) => {
  const { world, agent, say, run } = stage(context, () => ["May I? ", { waitFor: "call-1" }, "Thanks."]);
  await say(agent({ threadId: "tea" }), "tea");
  const loaded = agent({ threadId: "chat-tea" });
  await world.until(loaded.connectAgent());
  assert.equal(loaded.pendingInterrupts.length, 1);
  await run(loaded, { resume: [{ interruptId: "call-1", status: "cancelled" }] });
  assert.deepEqual(shown(loaded.messages), ["user: tea", "assistant: May I?  +lamp", "tool: 42", "assistant: Thanks."]);
});

test("connectAgent() of a new thread shows nothing and creates no chat", async (context) => {
  const { world, server, agent } = stage(context);
  const fresh = agent();
  await world.until(fresh.connectAgent());
  assert.deepEqual([fresh.messages.length, server.chats.size], [0, 0]);
});

test("the connection may be lost in the middle of a reply", async (context) => {
  const { world, server, agent } = stage(context, () => ["One, ", "two, ", "three."]);
  const tea = agent();
  tea.addMessage({ id: "u1", role: "user", content: "count" });
  const running = tea.runAgent();
  await world.pass(250);
  server.cutAll();
  await world.until(running);
  assert.deepEqual(shown(tea.messages), ["user: count", "assistant: One, two, three."]);
});

test("a reply that is made anew and says the same is shown once", async (context) => {
  const { agent, say } = stage(context, () => ["One, ", "two, ", "NEW ATTEMPT", "One, ", "two, ", "three."]);
  const tea = agent();
  assert.ok(!types(await say(tea, "count")).includes(EventType.MESSAGES_SNAPSHOT));
  assert.deepEqual(shown(tea.messages), ["user: count", "assistant: One, two, three."]);
});

test("a reply that is made anew and says something else replaces what was shown", async (context) => {
  const { agent, say } = stage(context, (text) => (text === "hi" ? ["Hello."] : [...OTHER_ATTEMPT]));
  const tea = agent();
  await say(tea, "hi");
  assert.ok(types(await say(tea, "tea")).includes(EventType.MESSAGES_SNAPSHOT));
  assert.deepEqual(shown(tea.messages), ["user: hi", "assistant: Hello.", "user: tea", ...RICH_SHOWN]);
});

test("the history has the same messages as the run", async (context) => {
  const { world, client, agent, say } = stage(context, () => [...RICH]);
  const tea = agent({ threadId: "tea" });
  await say(tea, "Is the lamp on?");
  const chat = await world.until(client().openChat("chat-tea"));
  assert.deepEqual(toAgentMessages(chat.snapshot.messages).slice(1), tea.messages.slice(1));
});

test("files are uploaded first, and those of the history are not uploaded again", async (context) => {
  const { world, server, agent } = stage(context);
  const uploaded: string[] = [];
  const http = {
    async upload(chatId: string, file: File) {
      uploaded.push(`${chatId} ${file.type} ${await file.text()}`);
      return { id: `file-${uploaded.length}`, name: file.name, type: file.type, bytes: file.size };
    },
  };
  const tea = agent({ threadId: "tea", http });
  const attachments = [{ id: "old", name: "a.txt", type: "text/plain", bytes: 1 }];
  const [stored] = toAgentMessages([{ id: "m1", role: "user", text: "Look", status: "done", parts: [], attachments }]);
  const parts = stored?.role === "user" && typeof stored.content !== "string" ? stored.content : [];
  const note = { type: "document" as const, source: { type: "data" as const, value: btoa("Hi"), mimeType: "text/plain" } };
  tea.addMessage({ id: "u1", role: "user", content: [...parts, note] });
  await world.until(tea.runAgent());
  assert.deepEqual(uploaded, ["chat-tea text/plain Hi"]);
  const sent = server.frames.find(({ frame }) => frame.type === "message")?.frame.data;
  assert.deepEqual(sent && "attachments" in sent && sent.attachments, ["old", "file-1"]);
});
