/**
 * The adapters with a running emulator. Its assistant has the tools `light`, `switch`, which needs an approval, and `hang`,
 * which ends when it is cancelled.
 */
import assert from "node:assert/strict";
import { env } from "node:process";
import { type TestContext, test } from "node:test";
import { buildResumeArray, type Message } from "@ag-ui/client";
import { Chat } from "@ai-sdk/react";
import { lastAssistantMessageIsCompleteWithApprovalResponses } from "ai";
import { ParleyAgent } from "../src/ag-ui/index.ts";
import { ParleyChatTransport, type ParleyUIMessage, toUIMessages } from "../src/ai-sdk/index.ts";
import { ParleyClient } from "../src/index.ts";

const given = env["PARLEY_TEST_SERVER"];
const options = { skip: given === undefined && "tests/clients starts an emulator for it" };
const { webSocketUrl, httpUrl, token } = JSON.parse(given ?? "{}") as Record<"webSocketUrl" | "httpUrl" | "token", string>;

const SWITCH = '/tool switch {"on": true}\nI ask first.';

function clientOf(context: TestContext): ParleyClient {
  const client = new ParleyClient({ url: webSocketUrl, token });
  context.after(() => client.close());
  return client;
}

function textOf(message: ParleyUIMessage | undefined): string {
  return (message?.parts ?? []).map((part) => (part.type === "text" ? part.text : "")).join("");
}

function toolOf(message: ParleyUIMessage | undefined) {
  return message?.parts.find((part) => part.type === "dynamic-tool");
}

test("a chat of the AI SDK: answers, history, a reply made anew, an edit", options, async (context) => {
  const client = clientOf(context);
  const chat = await client.createChat();
  const transport = new ParleyChatTransport({ client });
  const ui = new Chat<ParleyUIMessage>({ id: chat.id, transport });
  await ui.sendMessage({ text: "Tell me about tea." });
  assert.equal(ui.status, "ready");
  const [, reply] = ui.messages;
  assert.equal(textOf(reply), chat.snapshot.messages[1]?.text);
  assert.ok(textOf(reply).length > 0);
  assert.equal(reply?.metadata?.finishReason, "stop");
  assert.ok((reply?.metadata?.cost?.frames ?? 0) > 0);
  await ui.regenerate();
  assert.notEqual(ui.messages[1]?.id, reply?.id);
  await ui.sendMessage({ text: "And coffee?", messageId: ui.messages[0]!.id });
  assert.deepEqual(toUIMessages(chat.snapshot.messages).map(textOf), ui.messages.map(textOf));
  assert.equal(chat.snapshot.messages[0]?.siblings?.length, 2);
});

test("a chat of the AI SDK: a tool, an approval, and a refusal", options, async (context) => {
  const client = clientOf(context);
  const chat = await client.createChat();
  const ui = new Chat<ParleyUIMessage>({
    id: chat.id,
    transport: new ParleyChatTransport({ client }),
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses,
  });
  await ui.sendMessage({ text: "/tool light {}" });
  assert.deepEqual(toolOf(ui.messages[1])?.output, { on: false });
  for (const approved of [true, false]) {
    await ui.sendMessage({ text: SWITCH });
    const tool = toolOf(ui.messages.at(-1));
    assert.deepEqual([tool?.state, tool?.input], ["approval-requested", { on: true }]);
    const finished = nextReady(ui);
    await ui.addToolApprovalResponse({ id: tool!.toolCallId, approved });
    await finished;
    assert.equal(toolOf(ui.messages.at(-1))?.state, approved ? "output-available" : "output-denied");
    assert.equal(textOf(ui.messages.at(-1)), chat.snapshot.messages.at(-1)?.text);
    assert.match(textOf(ui.messages.at(-1)), /^I ask first\./);
  }
});

test("a chat of the AI SDK: a page that is loaded while a reply waits", options, async (context) => {
  const client = clientOf(context);
  const chat = await client.createChat();
  await new Chat<ParleyUIMessage>({ id: chat.id, transport: new ParleyChatTransport({ client }) }).sendMessage({ text: SWITCH });
  const other = clientOf(context);
  const opened = await other.openChat(chat.id);
  const ui = new Chat<ParleyUIMessage>({
    id: chat.id,
    messages: toUIMessages(opened.snapshot.messages),
    transport: new ParleyChatTransport({ client: other }),
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses,
  });
  await ui.resumeStream();
  const tool = toolOf(ui.messages.at(-1));
  assert.equal(tool?.state, "approval-requested");
  const finished = nextReady(ui);
  await ui.addToolApprovalResponse({ id: tool.toolCallId, approved: true });
  await finished;
  assert.equal(ui.messages.length, 2);
  assert.equal(textOf(ui.messages.at(-1)), opened.snapshot.messages.at(-1)?.text);
});

test("a chat of the AI SDK: stop() reaches a tool that runs", options, async (context) => {
  const client = clientOf(context);
  const chat = await client.createChat();
  const ui = new Chat<ParleyUIMessage>({ id: chat.id, transport: new ParleyChatTransport({ client }) });
  const sending = ui.sendMessage({ text: "/tool hang {}" });
  await until(ui, () => toolOf(ui.messages.at(-1)) !== undefined);
  await ui.stop();
  await sending;
  await ui.sendMessage({ text: "Hello" });
  assert.equal(chat.snapshot.messages[1]?.finishReason, "cancelled");
  assert.equal(textOf(ui.messages.at(-1)), chat.snapshot.messages.at(-1)?.text);
});

test("a chat of the AI SDK: files are uploaded", options, async (context) => {
  const client = clientOf(context);
  const chat = await client.createChat();
  const transport = new ParleyChatTransport({ client, http: client.http(httpUrl) });
  const ui = new Chat<ParleyUIMessage>({ id: chat.id, transport });
  const url = `data:text/plain;base64,${btoa("Green tea, 80 degrees.")}`;
  await ui.sendMessage({ text: "What is in it?", files: [{ type: "file", mediaType: "text/plain", filename: "tea.txt", url }] });
  assert.deepEqual(chat.snapshot.messages[0]?.attachments?.map(({ name, bytes }) => [name, bytes]), [["tea.txt", 22]]);
  assert.match(textOf(ui.messages[1]), /tea\.txt/);
});

test("an agent of AG-UI: answers, an interrupt, the history", options, async (context) => {
  const client = clientOf(context);
  const chat = await client.createChat();
  const agent = new ParleyAgent({ client, threadId: chat.id });
  await say(agent, "u1", "Tell me about tea.");
  assert.equal(contentOf(agent.messages.at(-1)), chat.snapshot.messages.at(-1)?.text);
  await say(agent, "u2", SWITCH);
  assert.equal(agent.pendingInterrupts.length, 1);
  const resume = buildResumeArray(agent.pendingInterrupts, {
    [agent.pendingInterrupts[0]!.id]: { status: "resolved", payload: { approved: true } },
  });
  await agent.runAgent({ resume });
  assert.deepEqual(agent.messages.map(({ role }) => role), ["user", "assistant", "user", "assistant", "tool", "assistant"]);
  const loaded = new ParleyAgent({ client: clientOf(context), threadId: chat.id });
  await loaded.connectAgent();
  assert.deepEqual(loaded.messages.map(contentOf), agent.messages.map(contentOf));
});

test("an agent of AG-UI: abortRun() reaches a tool that runs", options, async (context) => {
  const client = clientOf(context);
  const agent = new ParleyAgent({ client });
  agent.addMessage({ id: "u1", role: "user", content: "/tool hang {}" });
  const outcomes: string[] = [];
  await agent.runAgent({}, {
    onToolCallEndEvent: () => agent.abortRun(),
    onRunFinishedEvent: ({ outcome }) => void outcomes.push(outcome),
  });
  assert.deepEqual(outcomes, ["cancelled"]);
});

async function say(agent: ParleyAgent, id: string, content: string): Promise<void> {
  agent.addMessage({ id, role: "user", content });
  await agent.runAgent();
}

function contentOf(message: Message | undefined): unknown {
  return message && "content" in message ? message.content : undefined;
}

/** Return a promise of the end of the next request. */
async function nextReady(ui: Chat<ParleyUIMessage>): Promise<void> {
  await until(ui, () => ui.status !== "ready");
  await until(ui, () => ui.status === "ready");
}

function until(ui: Chat<ParleyUIMessage>, isSo: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (isSo()) {
        stops.forEach((stop) => stop());
        resolve();
      }
    };
    const stops = [ui["~registerStatusCallback"](look), ui["~registerMessagesCallback"](look)];
    look();
  });
}
