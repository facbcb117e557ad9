/** The client and a real server. `PARLEY_TEST_SERVER` says where it is: the tests of Python start it. */
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { HttpApi, ParleyClient, ParleyError, type ReplyEvent, type Turn } from "../src/index.ts";
import { shown, textOf, watch } from "./support/conversations.ts";

interface Given {
  webSocketUrl: string;
  httpUrl: string;
  token: string;
  /** A bad token, of a user who exists. */
  badToken: string;
}

const given = process.env.PARLEY_TEST_SERVER;
const options = { skip: given === undefined ? "no server is given" : false };
const { webSocketUrl, httpUrl, token, badToken } = JSON.parse(given ?? "{}") as Given;

/** The sockets of all clients, so that a test can cut them. */
const sockets = new Set<WebSocket>();
class CutSocket extends WebSocket {
  constructor(url: string) {
    super(url);
    sockets.add(this);
    this.addEventListener("close", () => sockets.delete(this));
  }
}

const clients: ParleyClient[] = [];
function client(more: Partial<ConstructorParameters<typeof ParleyClient>[0]> = {}): ParleyClient {
  const made = new ParleyClient({ url: webSocketUrl, token, WebSocket: CutSocket, ...more });
  clients.push(made);
  return made;
}

async function faults(...plan: object[]): Promise<void> {
  const answer = await fetch(`${httpUrl}/_parley/faults`, { method: "PUT", body: JSON.stringify({ faults: plan }) });
  assert.equal(answer.status, 200);
}

/** Wait until a chat shows something. */
function until<Value>(
  chat: { subscribe(listener: () => void): () => void },
  look: () => Value | undefined,
): Promise<Value> {
  return new Promise((resolve) => {
    const check = () => {
      const found = look();
      if (found !== undefined && found !== false) {
        stop();
        resolve(found);
      }
    };
    const stop = chat.subscribe(check);
    check();
  });
}

async function all(turn: Turn): Promise<ReplyEvent[]> {
  const events: ReplyEvent[] = [];
  for await (const event of turn.events) {
    events.push(event);
  }
  return events;
}

afterEach(() => {
  clients.splice(0).forEach((each) => each.close());
});

test("a conversation", options, async () => {
  const made = client();
  const chat = await made.createChat({ title: "Tea" });
  assert.equal(made.state, "online");
  const twice = watch(chat);
  const turn = chat.send("Hello");
  const events = await all(turn);
  const reply = await turn.reply;
  assert.equal(textOf(events), reply.text);
  assert.equal(reply.finishReason, "stop");
  assert.ok(reply.usage);
  assert.deepEqual(shown(chat), ["user done: Hello", `assistant done: ${reply.text}`]);
  const again = await chat.regenerate().reply;
  assert.deepEqual(again.siblings, [reply.id, again.id]);
  const { messageId } = await turn.accepted;
  const edited = await chat.edit(messageId, "Hello again").reply;
  assert.deepEqual(shown(chat), ["user done: Hello again", `assistant done: ${edited.text}`]);
  await chat.select(messageId);
  assert.deepEqual(shown(chat), ["user done: Hello", `assistant done: ${again.text}`]);
  assert.deepEqual(twice, []);
  assert.ok(made.limits && made.assistants && made.protocol);
});

test("the connection is cut in the middle of a reply, and a frame gets lost", options, async () => {
  const chat = await client().createChat();
  const turn = chat.send("/long 400");
  const reading = all(turn);
  for (const length of [1, 300, 900]) {
    await until(chat, () => (chat.snapshot.messages.at(-1)?.text.length ?? 0) >= length || turnIsOver(chat));
    sockets.forEach((socket) => socket.close());
    await until(chat, () => chat.snapshot.state === "offline");
  }
  const reply = await turn.reply;
  assert.equal(textOf(await reading), reply.text);
  const stored = await new HttpApi({ url: httpUrl, token }).messages(chat.id);
  assert.deepEqual(
    stored.messages.map(({ content }) => content),
    ["/long 400", reply.text],
  );

  await faults({ point: "post", do: "lose", match: ["assistant_message_token"], nth: 2 });
  const second = chat.send("/long 300");
  const read = await all(second);
  await faults();
  assert.equal(textOf(read), (await second.reply).text);
  assert.equal((await new HttpApi({ url: httpUrl, token }).messages(chat.id)).messages.length, 4);
});

function turnIsOver(chat: { snapshot: { state: string } }): boolean {
  return chat.snapshot.state === "ready";
}

test("messages of an offline client are sent when it is online again, once each", options, async () => {
  const chat = await client().createChat();
  sockets.forEach((socket) => socket.close());
  await until(chat, () => chat.snapshot.state === "offline");
  const turns = [chat.send("one"), chat.send("two")];
  assert.deepEqual(shown(chat), ["user sending: one", "user sending: two"]);
  await Promise.all(turns.map((turn) => turn.reply));
  const { messages } = await new HttpApi({ url: httpUrl, token }).messages(chat.id);
  assert.deepEqual(
    messages.map(({ content, role }) => (role === "user" ? content : role)),
    ["one", "assistant", "two", "assistant"],
  );
});

test("two clients in one chat are in step, and several chats are open at once", options, async () => {
  const [one, other] = [client(), client()];
  const chat = await one.createChat();
  const seen = await other.openChat(chat.id);
  const reply = await chat.send("Hello").reply;
  await until(seen, () => seen.snapshot.messages.at(-1)?.status === "done" && seen.snapshot.messages.length === 2);
  assert.deepEqual(shown(seen), shown(chat));
  const second = await one.createChat();
  const [first] = await Promise.all([chat.send("In the first").reply, second.send("In the second").reply]);
  assert.notEqual(first.text, reply.text);
  assert.equal(second.snapshot.messages.length, 2);
  assert.equal(await other.openChat(chat.id), seen);
});

test("a reply is stopped", options, async () => {
  const chat = await client().createChat();
  // The model says something, and then nothing more.
  await faults({ point: "model", do: "stall-mid" });
  const turn = chat.send("/long 400");
  await until(chat, () => (chat.snapshot.messages[1]?.text.length ?? 0) > 0);
  await chat.cancel();
  assert.equal((await turn.reply).finishReason, "cancelled");
  await chat.cancel();
});

test("history comes in pages, and long replies are fetched whole", options, async () => {
  const one = client();
  const chat = await one.createChat();
  const long = await chat.send("/long 12000").reply;
  for (const text of ["a", "b", "c"]) {
    await chat.send(text).reply;
  }
  const other = await client().openChat(chat.id);
  while (other.snapshot.hasMore) {
    await other.loadMore(3);
  }
  await until(other, () => other.snapshot.messages.every(({ status }) => status === "done"));
  assert.deepEqual(shown(other), shown(chat));
  assert.equal((await other.load(long.id)).text, long.text);
});

test("refusals have the server's codes", options, async () => {
  const made = client();
  await assert.rejects(made.openChat("no-such-chat"), { code: "chat_not_found" });
  const chat = await made.createChat();
  const turn = chat.send("   ");
  await assert.rejects(turn.accepted, (error) => error instanceof ParleyError && error.code === "message_empty");
  assert.deepEqual(
    chat.snapshot.messages.map(({ status, error }) => [status, error?.code]),
    [["failed", "message_empty"]],
  );
  assert.ok(chat.discard(turn.clientMessageId!));
  await assert.rejects(made.createChat({ assistant: "nobody" }), { code: "unknown_assistant" });

  const reasons: string[] = [];
  const renewing = client({
    token(reason) {
      reasons.push(reason);
      return reasons.length === 1 ? badToken : token;
    },
  });
  await renewing.createChat();
  assert.deepEqual(reasons, ["connect", "refused"]);
  const refused = client({ token: badToken });
  await assert.rejects(refused.createChat(), { code: "closed" });
  assert.equal(refused.closedBecause?.code, "invalid_token");
});

test("the HTTP API", options, async () => {
  const made = client();
  const http = made.http(httpUrl);
  const chat = await made.createChat();
  const file = new File(["Tea is served at five."], "tea.txt", { type: "text/plain" });
  const attachment = await http.upload(chat.id, file);
  const reply = await chat.send("Read this", { attachments: [attachment] }).reply;
  assert.deepEqual(chat.snapshot.messages[0]?.attachments, [attachment]);
  const link = await http.link(chat.id, attachment.id);
  assert.equal(await (await fetch(link.url)).text(), "Tea is served at five.");
  await http.feedback(chat.id, reply.id, "up", "Good");
  assert.equal((await http.messages(chat.id)).messages[1]?.feedback, "up");
  await http.feedback(chat.id, reply.id, null);
  assert.match(await (await http.export(chat.id, "markdown")).text(), /Read this/);
  assert.equal((await http.rename(chat.id, "Five o'clock")).title, "Five o'clock");
  await until(chat, () => chat.title === "Five o'clock");
  const list = await http.chats({ limit: 100 });
  assert.equal(list.chats.find(({ chatId }) => chatId === chat.id)?.title, "Five o'clock");
  assert.equal((await http.me()).userId, made.userId);
  assert.equal(typeof (await http.usage()).messages, "number");
  assert.equal((await http.assistants())[0]?.id, "default");
  assert.equal((await http.chat(chat.id)).messageCount, 2);
  await http.delete(chat.id);
  await until(chat, () => chat.snapshot.state === "closed");
  await assert.rejects(http.chat(chat.id), { code: "chat_not_found" });
  await assert.rejects(chat.send("Too late").reply, { code: "chat_closed" });
});
