/** What a chat shows, whatever its devices do. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Chat } from "../src/index.ts";
import { RICH, eventsOf, scene, shown, textOf, watch } from "./support/conversations.ts";
import type { Connection, Server } from "./support/server.ts";

const SECOND = 1000;

const first = (server: Server): Connection => [...server.connections][0]!;
const texts = (chat: Chat) => chat.snapshot.messages.map(({ text }) => text);
const ids = (chat: Chat) => chat.snapshot.messages.map(({ id }) => id);

test("a snapshot stays the same object until something changes, and so do messages that do not", async () => {
  const { world, client } = scene(() => ["a", "b", "c"]);
  const chat = await world.until(client().createChat());
  const before = chat.snapshot;
  assert.equal(chat.snapshot, before);
  const turn = chat.send("Hello");
  const sending = chat.snapshot;
  assert.notEqual(sending, before);
  assert.deepEqual(before.messages, []);
  await world.until(turn.accepted);
  const question = chat.snapshot.messages[0];
  await world.until(turn.reply);
  assert.equal(chat.snapshot.messages[0], question);
});

test("events can be read at any time, by several readers, and tell the whole reply", async () => {
  const { world, client } = scene(() => [...RICH]);
  const chat = await world.until(client().createChat());
  const turn = chat.send("rich");
  const early = eventsOf(turn);
  while ((chat.snapshot.messages[1]?.text.length ?? 0) < 10) {
    await world.pass(10);
  }
  const middle = eventsOf(turn);
  const resumed = eventsOf(chat.resume()!);
  const reply = await world.until(turn.reply);
  const late = eventsOf(turn);
  await world.pass(0);
  for (const events of [early, middle, resumed, late]) {
    assert.equal(textOf(events), reply.text);
    assert.equal(events[0]?.type, "start");
    assert.deepEqual(events.at(-1), { type: "end", message: reply });
    const parts = new Map(events.flatMap((event) => (event.type === "part" ? [[event.part.index, event.part]] : [])));
    assert.deepEqual([...parts.values()], reply.parts);
    const reasoning = events.flatMap((event) => (event.type === "part" ? [event.added ?? ""] : []));
    assert.equal(reasoning.join(""), "Let me think.");
  }
  assert.equal(chat.resume(), undefined);
});

test("a message of another device while we send: ours waits for the end of the other reply", async () => {
  const { world, server, client } = scene(() => Array(50).fill("x"));
  const chat = await world.until(client().createChat());
  const other = await world.until(client().openChat(chat.id));
  const turns = [other.send("theirs"), chat.send("ours")];
  await world.until(Promise.all(turns.map((turn) => turn.reply)));
  await world.pass(SECOND);
  assert.equal(server.path(server.only).length, 4);
  assert.deepEqual(texts(chat), server.texts());
  assert.deepEqual(texts(other), server.texts());
});

test("a message of another device that comes after its reply stands before it", async () => {
  const { world, server, client } = scene();
  const chat = await world.until(client().createChat());
  const connection = first(server);
  const start = { message: "…", messageId: "m8", chatId: chat.id, attempt: 1, offset: 0, content: "Hi" };
  server.post(connection, { type: "assistant_message_start", data: start });
  const timestamp = "2026-11-23T12:00:00.000Z";
  const question = { messageId: "m7", content: "Hello?", role: "user", timestamp, chatId: chat.id } as const;
  server.post(connection, { type: "user_message", data: question });
  await world.pass(100);
  assert.deepEqual(ids(chat), ["m7", "m8"]);
  assert.equal(chat.snapshot.state, "replying");
  const end = { content: "Hi", role: "assistant", timestamp, length: 2, finishReason: "stop" } as const;
  const next = { messageId: "m10", chatId: chat.id, attempt: 1 };
  server.post(connection, { type: "assistant_message_complete", data: { ...end, ...next, messageId: "m8" } });
  server.post(connection, { type: "assistant_message_complete", data: { ...end, ...next } });
  server.post(connection, { type: "user_message", data: { ...question, messageId: "m9" } });
  await world.pass(100);
  assert.deepEqual(ids(chat), ["m7", "m8", "m9", "m10"]);
  assert.equal(chat.snapshot.state, "ready");
});

test("of several joins the newest counts", async () => {
  const { world, server, client } = scene();
  const chat = await world.until(client().createChat());
  await world.until(chat.send("Hello").reply);
  const data = { chatId: chat.id, title: "Old", assistant: "default", messages: [], hasMore: false };
  const lengths = new Set<number>();
  chat.subscribe(() => lengths.add(chat.snapshot.messages.length));
  server.post(first(server), { type: "chat_joined", requestId: "an earlier one", data });
  server.post(first(server), { type: "branch_selected", data: { chatId: chat.id, messageId: ids(chat)[0]! } });
  server.post(first(server), { type: "chat_joined", requestId: "an earlier one", data });
  await world.pass(SECOND);
  assert.deepEqual([...lengths], [2]);
  assert.equal(chat.title, "New chat");
});

test("messages that are written ahead are sent one after the other", async () => {
  const { world, server, client } = scene();
  const chat = await world.until(client().createChat());
  const turns = ["one", "two", "three"].map((text) => chat.send(text));
  await world.until(Promise.all(turns.map(({ reply }) => reply)));
  assert.equal(server.types("client").filter((each) => each === "message").length, 3);
});

test("regenerate is not asked twice if it was carried out and nobody heard of it", async () => {
  const { world, server, client } = scene();
  const chat = await world.until(client().createChat());
  await world.until(chat.send("Hello").reply);
  server.deaf.set("regenerate", 1);
  assert.equal((await world.until(chat.regenerate().reply)).text, "You said: again Hello");
  const turn = chat.regenerate();
  server.fate = (_number, from) => (from === "server" ? "lose" : "deliver");
  await world.pass(SECOND);
  server.fate = () => "deliver";
  const reply = await world.until(turn.reply);
  await world.pass(SECOND);
  assert.equal(chat.snapshot.messages.at(-1), reply);
  assert.equal(server.only.messages.size, 4);
});

test("a server that counts more parts than there are is not asked without end", async () => {
  const { world, server, client } = scene();
  const chat = await world.until(client().createChat());
  const reply = chat.send("Hello").reply;
  server.claimedParts = 5;
  assert.equal((await world.until(reply)).text, "You said: Hello");
  assert.equal(server.types("client").filter((each) => each === "join_chat").length, 4);
});

test("a reply whose start got lost is found by joining again", async () => {
  const { world, server, client } = scene(() => ["one ", "two"]);
  const chat = await world.until(client().createChat());
  server.fate = (_number, _from, type) => (type === "assistant_message_start" ? "lose" : "deliver");
  const turn = chat.send("Hello");
  await world.pass(220);
  server.fate = () => "deliver";
  assert.equal((await world.until(turn.reply)).text, "one two");
  assert.ok(world.now() < Date.parse("2026-11-23T12:00:10Z"));
});

test("an end that comes twice, and a reply that is announced again, change nothing", async () => {
  const { world, server, client } = scene();
  const chat = await world.until(client().createChat());
  const reply = await world.until(chat.send("Hello").reply);
  const before = chat.snapshot;
  const frames = server.frames.filter(({ frame }) => frame.type.startsWith("assistant_message"));
  frames.forEach(({ frame }) => server.post(first(server), frame as never));
  await world.pass(SECOND);
  assert.equal(chat.snapshot.messages.at(-1), reply);
  assert.deepEqual(chat.snapshot, before);
});

test("a newer reply may begin while an earlier one has no end yet", async () => {
  const { world, server, client } = scene();
  const chat = await world.until(client().createChat());
  // The worker dies after it has stored the reply: nobody hears the end.
  server.fate = (_number, _from, type) => (type === "assistant_message_complete" ? "lose" : "deliver");
  const turn = chat.send("First");
  await world.pass(SECOND);
  server.fate = () => "deliver";
  const other = await world.until(client().openChat(chat.id));
  const second = await world.until(other.send("Second").reply);
  assert.equal((await world.until(turn.reply)).text, "You said: First");
  await world.pass(SECOND);
  assert.deepEqual(ids(chat), ids(other));
  assert.equal(chat.snapshot.messages.at(-1)?.id, second.id);
});

test("older messages come in pages, and a chat that is joined again keeps them", async () => {
  const { world, server, client } = scene();
  const stored = server.newChat("old");
  for (let number = 1; number <= 30; number++) {
    server.store(stored, `q${number}`, `a${number}`);
  }
  server.pageSize = 20;
  const chat = await world.until(client().openChat("old"));
  assert.deepEqual([chat.snapshot.messages.length, chat.snapshot.hasMore], [20, true]);
  await world.until(Promise.all([chat.loadMore(15), chat.loadMore(15)]));
  assert.deepEqual([chat.snapshot.messages.length, chat.snapshot.hasMore], [35, true]);
  const [oldest] = chat.snapshot.messages;
  server.cutAll();
  await world.pass(2 * SECOND);
  assert.deepEqual([chat.snapshot.messages.length, chat.snapshot.hasMore], [35, true]);
  assert.equal(chat.snapshot.messages[0], oldest);
  await world.until(chat.loadMore());
  await world.until(chat.loadMore());
  assert.deepEqual([texts(chat), chat.snapshot.hasMore], [server.texts(stored), false]);
  await world.until(chat.loadMore());
  // So much was said meanwhile that the newest page does not reach what is here.
  server.cutAll();
  for (let number = 31; number <= 60; number++) {
    server.store(stored, `q${number}`, `a${number}`);
  }
  await world.pass(2 * SECOND);
  assert.deepEqual([texts(chat), chat.snapshot.hasMore], [server.texts(stored).slice(-20), true]);
});

test("replies that are too long for a frame are fetched one after the other, the newest first", async () => {
  const { world, server, client } = scene();
  server.maxContent = 100;
  const stored = server.newChat("old");
  const long = (letter: string) => letter.repeat(450);
  server.store(stored, "one", long("a"));
  server.store(stored, "two", "short");
  server.store(stored, "three", long("c"));
  const chat = await world.until(client().openChat("old"));
  assert.deepEqual(shown(chat).filter((each) => each.includes("loading")).length, 2);
  await world.pass(10 * SECOND);
  assert.deepEqual(texts(chat), server.texts(stored));
  assert.ok(chat.snapshot.messages.every(({ status }) => status === "done"));
  assert.equal(chat.snapshot.state, "ready");
  const whole = await world.until(chat.load(chat.snapshot.messages[1]!.id));
  assert.equal(whole.text, long("a"));
  const turn = chat.send("long");
  assert.equal((await world.until(turn.reply)).text, "You said: long");
});

test("a reply over a frame that runs while the connection dies is whole", async () => {
  const { world, server, client } = scene(() => Array(20).fill("twenty-one characters"));
  server.maxContent = 100;
  const chat = await world.until(client().createChat());
  const turn = chat.send("Hello");
  await world.pass(700);
  server.cutAll();
  assert.equal((await world.until(turn.reply)).text, "twenty-one characters".repeat(20));
});

test("an edit that is refused leaves what was there, and a message that is refused can be sent again", async () => {
  const { world, server, client } = scene();
  const chat = await world.until(client().createChat());
  const { messageId } = await world.until(chat.send("Hello").accepted);
  await world.pass(SECOND);
  const before = ids(chat);
  server.refusals.set("edit", { code: "too_many_branches" });
  const edit = chat.edit(messageId, "Edited");
  assert.deepEqual(shown(chat), ["user sending: Edited"]);
  await assert.rejects(world.until(edit.accepted), { code: "too_many_branches" });
  assert.deepEqual(ids(chat), before);

  server.refusals.set("message", { code: "rate_limited", retryAfter: 60 });
  const turn = chat.send("Again");
  await assert.rejects(world.until(turn.reply), { code: "rate_limited", retryAfter: 60 });
  assert.equal(shown(chat).at(-1), "user failed: Again");
  const again = chat.retry(turn.clientMessageId!);
  assert.equal(again.clientMessageId, turn.clientMessageId);
  assert.equal((await world.until(again.reply)).text, "You said: Again");
  assert.equal(chat.discard(turn.clientMessageId!), false);
  await assert.rejects(chat.retry("nobody").accepted, { code: "not_shown" });
});

test("a short pause that the server asks for is waited for", async () => {
  const { world, server, client } = scene();
  const chat = await world.until(client().createChat());
  server.refusals.set("message", { code: "internal", retryAfter: 2 });
  const turn = chat.send("Hello");
  await world.pass(1900);
  assert.equal(server.types("client").filter((each) => each === "message").length, 1);
  assert.equal((await world.until(turn.reply)).text, "You said: Hello");
});

test("a message that was not sent can be taken back, and cancel() takes back what waits", async () => {
  const { world, server, client } = scene();
  const chat = await world.until(client().createChat());
  server.isReachable = false;
  server.cutAll();
  const turns = [chat.send("one"), chat.send("two")];
  assert.equal(chat.discard(turns[0]!.clientMessageId!), true);
  await assert.rejects(turns[0]!.accepted, { code: "discarded" });
  assert.deepEqual(shown(chat), ["user sending: two"]);
  const cancelled = chat.cancel();
  await assert.rejects(turns[1]!.reply, { code: "discarded" });
  server.isReachable = true;
  await world.until(cancelled);
  assert.deepEqual([texts(chat), server.texts()], [[], []]);
});

test("cancel() right after send() ends the reply as soon as there is one", async () => {
  const { world, client } = scene(() => Array(100).fill("x"));
  const chat = await world.until(client().createChat());
  const turn = chat.send("Hello");
  const cancelled = chat.cancel();
  const reply = await world.until(turn.reply);
  await world.until(cancelled);
  assert.equal(reply.finishReason, "cancelled");
  assert.ok(reply.text.length < 5);
  await world.until(chat.cancel());
});

test("two devices see the same branches", async () => {
  const { world, server, client } = scene();
  const chat = await world.until(client().createChat());
  const other = await world.until(client().openChat(chat.id));
  const twice = [watch(chat), watch(other)];
  const { messageId } = await world.until(chat.send("tea").accepted);
  await world.pass(SECOND);
  await world.until(other.regenerate().reply);
  await world.until(chat.edit(messageId, "coffee").reply);
  await world.pass(SECOND);
  assert.deepEqual(ids(other), ids(chat));
  assert.deepEqual(other.snapshot.messages[0]?.siblings, [messageId, ids(chat)[0]]);
  await world.until(other.select(messageId));
  await world.pass(SECOND);
  assert.deepEqual(texts(chat), ["tea", "You said: again tea"]);
  assert.deepEqual(texts(other), server.texts());
  assert.equal(chat.snapshot.messages[1]?.siblings?.length, 2);
  await assert.rejects(world.until(chat.select("m0")), { code: "nothing_to_select" });
  assert.deepEqual(twice, [[], []]);
});

test("an approval on one device is seen on the other", async () => {
  const { world, client } = scene(() => ["May I? ", { waitFor: "call" }, "Thanks."]);
  const chat = await world.until(client().createChat());
  const other = await world.until(client().openChat(chat.id));
  const turn = chat.send("Hello");
  await world.pass(SECOND);
  assert.deepEqual([chat.snapshot.state, other.snapshot.state], ["waiting", "waiting"]);
  assert.equal(other.snapshot.messages[1]?.status, "waiting");
  await world.until(other.approve("call", true));
  await world.pass(20);
  const [part] = chat.snapshot.messages[1]!.parts;
  assert.equal(part?.kind === "tool_call" && part.approved, true);
  assert.equal(chat.snapshot.state, "replying");
  assert.equal((await world.until(turn.reply)).text, "May I? Thanks.");
  await assert.rejects(world.until(chat.approve("call", false)), { code: "nothing_to_approve" });
});

test("a chat that is deleted, or that there is not, is closed", async () => {
  const { world, server, client } = scene();
  const made = client();
  await assert.rejects(world.until(made.openChat("nowhere")), { code: "chat_not_found" });
  const chat = await world.until(made.createChat());
  const turn = chat.send("Hello");
  await world.pass(100);
  server.post(first(server), { type: "chat_deleted", data: { chatId: chat.id } });
  await assert.rejects(world.until(turn.reply), { code: "chat_deleted" });
  assert.equal(chat.snapshot.state, "closed");
  await assert.rejects(chat.send("More").reply, { code: "chat_closed" });
  await assert.rejects(chat.cancel(), { code: "chat_closed" });
  // The connection is used again.
  assert.equal((await world.until((await world.until(made.createChat())).send("Hi").reply)).text, "You said: Hi");
  assert.equal(server.connections.size, 1);
});

test("a chat that is being created hears nothing of other chats", async () => {
  const { world, server, client } = scene();
  server.deaf.set("create_chat", 1);
  const created = client().createChat();
  await world.pass(100);
  const other = { messageId: "m1", chatId: "other", attempt: 1, offset: 0 };
  for (const frame of [
    { type: "assistant_message_start", data: { ...other, message: "…", content: "Hi" } },
    { type: "assistant_message_token", data: { ...other, token: "Hi" } },
    { type: "chat_updated", data: { chatId: "other", title: "Other" } },
    { type: "chat_deleted", data: { chatId: "other" } },
  ]) {
    server.post(first(server), frame as never);
  }
  const chat = await world.until(created);
  assert.deepEqual([chat.title, texts(chat), chat.snapshot.state], ["New chat", [], "ready"]);
});

test("the same clientChatId is the same chat, with its messages", async () => {
  const { world, client } = scene();
  const chat = await world.until(client().createChat({ clientChatId: "mine", title: "Tea" }));
  await world.until(chat.send("Hello").reply);
  const again = await world.until(client().createChat({ clientChatId: "mine" }));
  assert.equal(again.id, chat.id);
  await world.pass(SECOND);
  assert.deepEqual(texts(again), texts(chat));
  assert.equal(again.title, "Tea");
});

test("a repeat of an old message is acknowledged, and its reply is found", async () => {
  const { world, server, client } = scene();
  const chat = await world.until(client().createChat());
  const turn = chat.send("Hello", { clientMessageId: "mine" });
  const reply = await world.until(turn.reply);
  const other = await world.until(client().openChat(chat.id));
  const repeat = other.send("Hello", { clientMessageId: "mine" });
  assert.equal((await world.until(repeat.reply)).id, reply.id);
  assert.equal(server.path(server.only).length, 2);
  assert.deepEqual(texts(other), texts(chat));
});
