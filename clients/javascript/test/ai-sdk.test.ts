/** The transport for the AI SDK, with the AI SDK's own chat and a server that keeps to the protocol. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Chat } from "@ai-sdk/react";
import { type ChatInit, lastAssistantMessageIsCompleteWithApprovalResponses } from "ai";
import { lastAttempt, ParleyChatTransport, type ParleyUIMessage, toUIMessages } from "../src/ai-sdk/index.ts";
import type { Step } from "./support/server.ts";
import { OTHER_ATTEMPT, RICH, stage as makeStage } from "./support/stage.ts";

type Settings = Omit<ChatInit<ParleyUIMessage>, "transport">;

/** A server, and chats of the AI SDK that talk to it. */
function stage(context: TestContext, script?: (text: string) => Step[]) {
  const { client, world, server } = makeStage(context, script);
  const transport = (options = {}) => new ParleyChatTransport({ client: client(), timers: world, ...options });
  const chat = (settings: Settings = {}, by = transport()) => new Chat<ParleyUIMessage>({ ...settings, transport: by });
  return { world, server, client, transport, chat };
}

/** Return what a screen shows: each message as its role and its parts. */
function screen(chat: Chat<ParleyUIMessage>): string[] {
  return chat.messages.map((message) => `${message.role}: ${message.parts.map(shortPart).join(" | ")}`);
}

function shortPart(part: ParleyUIMessage["parts"][number]): string {
  switch (part.type) {
    case "text":
      return part.text;
    case "reasoning":
      return `(${part.text})`;
    case "dynamic-tool":
      return `${part.toolName} ${part.state}`;
    case "source-url":
      return `<${part.url}>`;
    default:
      return part.type;
  }
}

test("a message is answered, with every kind of part and with the cost of the turn", async (context) => {
  const { world, chat } = stage(context, () => [...RICH]);
  const statuses: string[] = [];
  const ui = chat({ onFinish: ({ finishReason, isError }) => statuses.push(`${finishReason} ${isError}`) });
  await world.until(ui.sendMessage({ text: "Is the lamp on?" }));
  assert.deepEqual(screen(ui), [
    "user: Is the lamp on?",
    "assistant: (Let me think.) | The lamp  | lamp output-available | is on. | <https://tea.example>",
  ]);
  const [, reply] = ui.messages;
  const tool = reply?.parts.find((part) => part.type === "dynamic-tool");
  assert.deepEqual([tool?.input, tool?.output, tool?.providerExecuted], [{}, { on: true }, true]);
  assert.ok(reply?.parts.every((part) => !("state" in part) || part.state !== "streaming"));
  assert.deepEqual(reply?.metadata?.usage, { promptTokens: 1, completionTokens: 2 });
  assert.equal(reply?.metadata?.finishReason, "stop");
  assert.deepEqual(statuses, ["stop false"]);
});

test("only the new message is sent, and the history stays the server's", async (context) => {
  const { world, server, chat } = stage(context);
  const ui = chat();
  await world.until(ui.sendMessage({ text: "one" }));
  await world.until(ui.sendMessage({ text: "two" }));
  assert.deepEqual(server.texts(), ["one", "You said: one", "two", "You said: two"]);
  assert.deepEqual(screen(ui).map((line) => line.split(": ").slice(1).join(": ")), server.texts());
  assert.deepEqual(server.frames.filter(({ from, frame }) => from === "client" && frame.type === "message").length, 2);
});

test("the chat of a made-up id is created once, and a chat of the server is opened by its id", async (context) => {
  const { world, server, chat, transport } = stage(context);
  const by = transport();
  const ui = chat({ id: "made-up" }, by);
  await world.until(ui.sendMessage({ text: "one" }));
  const made = await world.until(by.chat("made-up"));
  assert.equal(made?.id, "chat-made-up");
  const other = chat({ id: "chat-made-up" });
  await world.until(other.sendMessage({ text: "two" }));
  assert.deepEqual(server.texts(), ["one", "You said: one", "two", "You said: two"]);
});

test("stop() cancels the reply at the server, and the next message is sent after its end", async (context) => {
  const { world, server, chat } = stage(context, (text) => (text === "long" ? ["One, ", ...Array(1000).fill("more, ")] : [text]));
  const ui = chat();
  const sending = ui.sendMessage({ text: "long" });
  await world.pass(1000);
  assert.equal(ui.status, "streaming");
  await world.until(ui.stop());
  await world.until(sending);
  assert.equal(ui.status, "ready");
  await world.until(ui.sendMessage({ text: "short" }));
  assert.deepEqual(server.path(server.only).map(({ view }) => view.finishReason), [undefined, "cancelled", undefined, "stop"]);
  assert.equal(ui.messages.at(-1)?.parts.map(shortPart).join(), "short");
});

test("stop() before the server has heard of a message takes it back", async (context) => {
  const { world, server, chat } = stage(context);
  const ui = chat();
  await world.until(ui.sendMessage({ text: "one" }));
  server.isReachable = false;
  server.cutAll();
  const sending = ui.sendMessage({ text: "two" });
  await world.pass(100);
  assert.equal(ui.status, "submitted");
  await world.until(ui.stop());
  await world.until(sending);
  server.isReachable = true;
  await world.pass(60_000);
  assert.deepEqual(server.texts(), ["one", "You said: one"]);
});

test("stop() does not wait for a connection", async (context) => {
  const { world, server, chat } = stage(context);
  const ui = chat();
  server.isReachable = false;
  const sending = ui.sendMessage({ text: "one" });
  await world.pass(100);
  await world.until(ui.stop());
  await world.until(sending);
  assert.equal(ui.status, "ready");
  server.isReachable = true;
  await world.pass(60_000);
  assert.equal([...server.chats.values()].flatMap((each) => server.texts(each)).length, 0);
});

test("stop() while nothing is heard of the server cancels the reply as soon as it can", async (context) => {
  const { world, server, chat } = stage(context, (text) => (text === "long" ? ["One, ", ...Array(1000).fill("more, ")] : [text]));
  const ui = chat();
  await world.until(ui.sendMessage({ text: "short" }));
  server.deaf.set("message", 1);
  const sending = ui.sendMessage({ text: "long" });
  await world.pass(100);
  await world.until(ui.stop());
  await world.until(sending);
  assert.equal(ui.status, "ready");
  await world.until(ui.sendMessage({ text: "last" }));
  const replies = server.path(server.only).filter(({ view }) => view.role === "assistant");
  assert.deepEqual(replies.map(({ view }) => view.finishReason), ["stop", "cancelled", "stop"]);
});

test("a chat that was closed is opened again, and one that was deleted is an error", async (context) => {
  const { world, server, chat, transport } = stage(context);
  const by = transport();
  const ui = chat({ id: "tea" }, by);
  await world.until(ui.sendMessage({ text: "one" }));
  const opened = await world.until(by.chat("tea"));
  opened!.close();
  await world.until(ui.sendMessage({ text: "two" }));
  assert.equal(server.texts().length, 4);
  (await world.until(by.chat("tea")))!.close();
  server.chats.clear();
  await world.until(ui.sendMessage({ text: "three" }));
  assert.equal(ui.error && "code" in ui.error && ui.error.code, "chat_not_found");
  assert.equal(server.chats.size, 0);
});

test("messages of other devices are shown by a listener", async (context) => {
  const { world, chat, transport, client } = stage(context);
  const by = transport();
  const ui = chat({ id: "tea" }, by);
  await world.until(ui.sendMessage({ text: "one" }));
  const mine = (await world.until(by.chat("tea")))!;
  mine.subscribe(() => {
    if (ui.status === "ready") {
      ui.messages = toUIMessages(mine.snapshot.messages);
    }
  });
  const other = await world.until(client().openChat("chat-tea"));
  await world.until(other.send("two").reply);
  await world.pass(100);
  assert.deepEqual(screen(ui), ["user: one", "assistant: You said: one", "user: two", "assistant: You said: two"]);
  await world.until(ui.sendMessage({ text: "coffee", messageId: ui.messages[2]!.id }));
  assert.deepEqual(screen(ui).slice(2), ["user: coffee", "assistant: You said: coffee"]);
});

test("a reply that was cancelled on another device ends without an error", async (context) => {
  const { world, chat, client } = stage(context, () => ["One, ", ...Array(1000).fill("more, ")]);
  const ui = chat({ id: "tea" });
  const sending = ui.sendMessage({ text: "long" });
  await world.pass(1000);
  const other = await world.until(client().openChat("chat-tea"));
  await world.until(other.cancel());
  await world.until(sending);
  assert.equal(ui.status, "ready");
  assert.equal(ui.messages.at(-1)?.metadata?.finishReason, "cancelled");
});

test("regenerate() makes the last reply anew, and the new one has another id", async (context) => {
  const { world, server, chat } = stage(context);
  const ui = chat();
  await world.until(ui.sendMessage({ text: "tea" }));
  const first = ui.messages[1]?.id;
  await world.until(ui.regenerate());
  assert.deepEqual(screen(ui), ["user: tea", "assistant: You said: again tea"]);
  assert.notEqual(ui.messages[1]?.id, first);
  assert.ok(server.types("client").includes("regenerate"));
});

test("regenerate() of an earlier reply asks its question again, as a branch", async (context) => {
  const { world, server, chat } = stage(context);
  const ui = chat();
  await world.until(ui.sendMessage({ text: "tea" }));
  await world.until(ui.sendMessage({ text: "coffee" }));
  await world.until(ui.regenerate({ messageId: ui.messages[1]!.id }));
  assert.deepEqual(screen(ui), ["user: tea", "assistant: You said: tea"]);
  assert.deepEqual(server.texts(), ["tea", "You said: tea"]);
  assert.equal(server.only.messages.size, 6);
  await world.until(ui.sendMessage({ text: "milk" }));
  assert.deepEqual(server.texts(), ["tea", "You said: tea", "milk", "You said: milk"]);
});

test("an edited message takes the place of the old one, twice too", async (context) => {
  const { world, server, chat } = stage(context);
  const ui = chat();
  await world.until(ui.sendMessage({ text: "tea" }));
  await world.until(ui.sendMessage({ text: "more" }));
  const messageId = ui.messages[0]!.id;
  await world.until(ui.sendMessage({ text: "coffee", messageId }));
  await world.until(ui.sendMessage({ text: "water", messageId }));
  assert.deepEqual(screen(ui), ["user: water", "assistant: You said: water"]);
  assert.deepEqual(server.texts(), ["water", "You said: water"]);
});

test("a refused message is an error, and regenerate() sends it once more", async (context) => {
  const { world, server, chat } = stage(context);
  const errors: Error[] = [];
  const ui = chat({ onError: (error) => errors.push(error) });
  server.refusals.set("message", { code: "message_too_large" });
  await world.until(ui.sendMessage({ text: "tea" }));
  assert.equal(ui.status, "error");
  assert.deepEqual(errors.map((error) => "code" in error && error.code), ["message_too_large"]);
  await world.until(ui.regenerate());
  assert.equal(ui.status, "ready");
  assert.deepEqual(server.texts(), ["tea", "You said: tea"]);
  assert.deepEqual(screen(ui), ["user: tea", "assistant: You said: tea"]);
});

test("a call is approved by the user's answer, and the same message goes on", async (context) => {
  const { world, server, chat } = stage(context, () => ["May I? ", { waitFor: "call-1" }, "Thanks."]);
  const ui = chat({ sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses });
  await world.until(ui.sendMessage({ text: "tea" }));
  assert.deepEqual(screen(ui), ["user: tea", "assistant: May I?  | lamp approval-requested"]);
  assert.equal(ui.status, "ready");
  await world.until(ui.addToolApprovalResponse({ id: "call-1", approved: true }) as Promise<void>);
  await world.pass(5000);
  assert.deepEqual(screen(ui), ["user: tea", "assistant: May I?  | lamp output-available | Thanks."]);
  assert.equal(ui.status, "ready");
  assert.equal(server.types("client").filter((type) => type === "approve").length, 1);
  assert.deepEqual(server.texts(), ["tea", "May I? Thanks."]);
});

test("a call that the user refuses is shown as denied", async (context) => {
  const { world, chat } = stage(context, () => ["May I? ", { waitFor: "call-1" }, "Well."]);
  const ui = chat({ sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses });
  await world.until(ui.sendMessage({ text: "tea" }));
  await world.until(ui.addToolApprovalResponse({ id: "call-1", approved: false }) as Promise<void>);
  await world.pass(5000);
  assert.deepEqual(screen(ui), ["user: tea", "assistant: May I?  | lamp output-denied | Well."]);
});

test("a page that is loaded while a reply waits shows the call, and answers for it", async (context) => {
  const { world, client, transport, chat } = stage(context, () => ["May I? ", { waitFor: "call-1" }, "Thanks."]);
  await world.until(chat({ id: "tea" }).sendMessage({ text: "tea" }));
  const by = transport();
  const opened = await world.until(client().openChat("chat-tea"));
  const messages = toUIMessages(opened.snapshot.messages);
  const ui = chat({ id: "chat-tea", messages, sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses }, by);
  await world.until(ui.resumeStream());
  assert.deepEqual(screen(ui), ["user: tea", "assistant: May I?  | lamp approval-requested"]);
  await world.until(ui.addToolApprovalResponse({ id: "call-1", approved: true }) as Promise<void>);
  await world.pass(5000);
  assert.deepEqual(screen(ui), ["user: tea", "assistant: May I?  | lamp output-available | Thanks."]);
});

for (const isOver of [false, true]) {
  test(`an answer after that of another device shows the reply, ${isOver ? "which has ended" : "which runs"}`, async (context) => {
    const rest: Step[] = isOver ? ["Thanks."] : Array<Step>(20).fill("Thanks. ");
    const { world, server, chat, client } = stage(context, () => ["May I? ", { waitFor: "call-1" }, ...rest]);
    const ui = chat({ id: "tea", sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses });
    await world.until(ui.sendMessage({ text: "tea" }));
    const other = await world.until(client().openChat("chat-tea"));
    await world.until(other.approve("call-1", false));
    await world.pass(isOver ? 5000 : 300);
    await world.until(ui.addToolApprovalResponse({ id: "call-1", approved: true }) as Promise<void>);
    await world.pass(5000);
    assert.equal(ui.status, "ready");
    const said = ui.messages[1]!.parts.map((part) => (part.type === "text" ? part.text : "")).join("");
    assert.equal(said, server.texts()[1]);
    assert.equal(ui.messages.length, 2);
  });
}

test("a new message while a call waits ends the reply that waits", async (context) => {
  const { world, server, chat } = stage(context, (text) => (text === "tea" ? ["May I? ", { waitFor: "call-1" }] : [text]));
  const ui = chat();
  await world.until(ui.sendMessage({ text: "tea" }));
  await world.until(ui.sendMessage({ text: "never mind" }));
  assert.deepEqual(server.texts(), ["tea", "May I? ", "never mind", "never mind"]);
});

test("resumeStream() goes on with a reply that runs, from its beginning", async (context) => {
  const script = () => ["One, ", "two, ", "three, ", "four."];
  const { world, client, transport, chat } = stage(context, script);
  const sending = chat({ id: "tea" }).sendMessage({ text: "count" });
  await world.pass(250);
  const opened = await world.until(client().openChat("chat-tea"));
  const ui = chat({ id: "chat-tea", messages: toUIMessages(opened.snapshot.messages) }, transport());
  await world.until(ui.resumeStream());
  assert.deepEqual(screen(ui), ["user: count", "assistant: One, two, three, four."]);
  await world.until(sending);
});

test("a stream that is resumed has the parts where they belong in the text", async (context) => {
  const { world, transport, chat } = stage(context, () => [...RICH, " Yes.", " Really."]);
  const sending = chat({ id: "tea" }).sendMessage({ text: "Is the lamp on?" });
  await world.pass(580);
  const ui = chat({ id: "chat-tea" }, transport());
  await world.until(ui.resumeStream());
  await world.until(sending);
  const expected = "assistant: (Let me think.) | The lamp  | lamp output-available | is on. | <https://tea.example> |  Yes. Really.";
  assert.deepEqual(screen(ui), [expected]);
});

test("resumeStream() does nothing if no reply runs, or if there is no such chat", async (context) => {
  const { world, server, chat } = stage(context);
  server.store(server.newChat("chat-1"), "tea", "Yes.");
  for (const id of ["chat-1", "made-up"]) {
    const ui = chat({ id });
    await world.until(ui.resumeStream());
    assert.deepEqual([ui.status, ui.messages.length], ["ready", 0]);
  }
  assert.equal(server.chats.size, 1);
});

test("a stream that is resumed twice at once does not cancel the reply, but stop() does", async (context) => {
  const { world, server, transport, chat } = stage(context, () => ["One, ", ...Array(1000).fill("more, ")]);
  void chat({ id: "tea" }).sendMessage({ text: "long" });
  await world.pass(1000);
  const ui = chat({ id: "chat-tea" }, transport());
  const first = ui.resumeStream();
  await world.pass(500);
  const second = ui.resumeStream();
  await world.pass(1000);
  assert.ok(!server.types("client").includes("cancel"));
  assert.equal(ui.status, "streaming");
  await world.until(ui.stop());
  await world.until(Promise.all([first, second]));
  await world.pass(1000);
  assert.equal(server.path(server.only).at(-1)?.view.finishReason, "cancelled");
});

test("the connection may be lost in the middle of a reply", async (context) => {
  const { world, server, chat } = stage(context, () => ["One, ", "two, ", "three."]);
  const ui = chat();
  const sending = ui.sendMessage({ text: "count" });
  await world.pass(250);
  server.cutAll();
  await world.until(sending);
  assert.deepEqual(screen(ui), ["user: count", "assistant: One, two, three."]);
});

test("a reply that is made anew and says the same is shown once", async (context) => {
  const { world, chat } = stage(context, () => ["One, ", "two, ", "NEW ATTEMPT", "One, ", "two, ", "three."]);
  const ui = chat();
  await world.until(ui.sendMessage({ text: "count" }));
  assert.deepEqual(screen(ui), ["user: count", "assistant: One, two, three."]);
});

test("a reply that is made anew and says something else is exact in lastAttempt()", async (context) => {
  const { world, server, chat } = stage(context, () => [...OTHER_ATTEMPT]);
  const ui = chat({
    onFinish: ({ messages }) => {
      ui.messages = messages.map(lastAttempt);
    },
  });
  const shown = new Set<string>();
  const sending = ui.sendMessage({ text: "tea" });
  ui["~registerMessagesCallback"](() => shown.add(ui.messages.map(lastAttempt).at(-1)!.parts.map(shortPart).join("|")));
  await world.until(sending);
  assert.deepEqual(server.texts(), ["tea", "The lamp is on."]);
  const reply = ui.messages[1]!;
  const said = reply.parts.map((part) => (part.type === "text" ? part.text : "")).join("");
  assert.equal(said, "The lamp is on.");
  assert.equal(reply.metadata?.attempt, 2);
  assert.ok(shown.has("Tea is |lamp output-available|good."));
  assert.ok(![...shown].some((parts) => parts.includes("Tea") && parts.includes("think")));
});

test("the history has the same parts as the stream", async (context) => {
  const { world, client, chat } = stage(context, () => [...RICH]);
  const ui = chat({ id: "tea" });
  await world.until(ui.sendMessage({ text: "Is the lamp on?" }));
  const opened = await world.until(client().openChat("chat-tea"));
  const history = new Chat<ParleyUIMessage>({ messages: toUIMessages(opened.snapshot.messages) });
  assert.deepEqual(screen(history), screen(ui));
});

test("files are uploaded first, and those of an earlier message are not uploaded again", async (context) => {
  const { world, server, chat, transport } = stage(context);
  const uploaded: string[] = [];
  const http = {
    async upload(chatId: string, file: File) {
      uploaded.push(`${chatId} ${file.name} ${file.type} ${await file.text()}`);
      return { id: `file-${uploaded.length}`, name: file.name, type: file.type, bytes: file.size };
    },
  };
  const ui = chat({ id: "tea" }, transport({ http }));
  const note = { type: "file", mediaType: "text/plain", filename: "note.txt", url: `data:text/plain;base64,${btoa("Hi")}` } as const;
  const [stored] = toUIMessages([
    { id: "m1", role: "user", text: "", status: "done", parts: [], attachments: [{ id: "old", name: "a", type: "text/plain", bytes: 1 }] },
  ]);
  const old = stored!.parts.find((part) => part.type === "file")!;
  await world.until(ui.sendMessage({ text: "Look", files: [old, note] }));
  assert.deepEqual(uploaded, ["chat-tea note.txt text/plain Hi"]);
  const sent = server.frames.find(({ frame }) => frame.type === "message")?.frame.data as { attachments?: string[] };
  assert.deepEqual(sent.attachments, ["old", "file-1"]);
});

test("files without the HTTP API are refused with the next step", async (context) => {
  const { world, chat } = stage(context);
  const ui = chat();
  await world.until(ui.sendMessage({ text: "Look", files: [{ type: "file", mediaType: "text/plain", url: "data:,Hi" }] }));
  assert.match(String(ui.error), /client\.http\(url\)/);
});
