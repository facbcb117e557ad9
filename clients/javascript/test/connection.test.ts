/** The connection of a client through hours of a simulated clock. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ParleyError, TokenReason } from "../src/index.ts";
import { eventsOf, scene, shown, textOf } from "./support/conversations.ts";
import type { Connection, Server } from "./support/server.ts";
import { settled, tokenUntil } from "./support/world.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

const times = (server: Server, type: string) => server.types("client").filter((each) => each === type).length;
const only = (server: Server): Connection => {
  assert.equal(server.connections.size, 1);
  return [...server.connections][0]!;
};

test("before each try there is a pause, which doubles up to 8 s, and a random part of it is taken", async () => {
  const { world, server, client } = scene();
  server.isReachable = false;
  const tries: number[] = [];
  class Counted extends (server.WebSocket as new (url: string) => Connection) {
    constructor(url: string) {
      tries.push(world.now());
      super(url);
    }
  }
  const made = client({ WebSocket: Counted });
  made.connect();
  assert.equal(made.state, "connecting");
  await world.pass(MINUTE);
  assert.equal(made.state, "offline");
  const pauses = tries.slice(1).map((at, index) => at - tries[index]! - 10);
  for (const [index, longest] of [500, 1000, 2000, 4000, 8000, 8000, 8000].entries()) {
    assert.ok(pauses[index]! >= longest / 2 && pauses[index]! <= longest, `${index}: ${pauses[index]}`);
  }
  assert.ok(new Set(pauses.map((pause) => pause / 8000)).size > 3);
  // The network is there again: nobody waits for the end of the pause.
  server.isReachable = true;
  world.tell("online");
  await world.pass(100);
  assert.equal(made.state, "online");
});

test("the first frame does not wait for the greeting, which may come late", async () => {
  const { world, server, client } = scene();
  server.fate = (_number, _from, type) => (type === "connected" ? "lose" : "deliver");
  const made = client();
  const chat = await world.until(made.createChat());
  assert.equal((await world.until(chat.send("Hello").reply)).text, "You said: Hello");
  assert.equal(made.protocol, undefined);
  const [connection] = server.connections;
  server.fate = () => "deliver";
  server.post(connection!, { type: "connected", data: { protocol: "1.9", limits: {} } } as never);
  await world.pass(100);
  assert.equal(made.protocol, "1.9");
});

test("pings come every 5 s while a reply runs, every 5 min else, and while it waits for the user", async () => {
  const { world, server, client } = scene((text) => (text === "wait" ? [{ waitFor: "call" }] : Array(600).fill("x")));
  const chat = await world.until(client().createChat());
  await world.pass(30 * MINUTE);
  assert.equal(times(server, "ping"), 6);
  const turn = chat.send("Hello");
  await world.pass(25 * SECOND);
  assert.equal(chat.snapshot.state, "replying");
  assert.equal(times(server, "ping"), 11);
  await world.until(turn.reply);
  const before = times(server, "ping");
  const waiting = chat.send("wait");
  await world.pass(30 * MINUTE);
  assert.equal(chat.snapshot.state, "waiting");
  assert.ok(times(server, "ping") - before <= 7);
  await world.until(chat.cancel());
  assert.equal((await world.until(waiting.reply)).finishReason, "cancelled");
});

test("a reply of which nothing is heard for half a minute is asked for again", async () => {
  const { world, server, client } = scene();
  const chat = await world.until(client().createChat());
  server.fate = (_number, from, type) => (from === "server" && type.startsWith("assistant") ? "lose" : "deliver");
  const turn = chat.send("Hello");
  await world.pass(SECOND);
  server.fate = () => "deliver";
  await world.pass(28 * SECOND);
  assert.equal(times(server, "join_chat"), 1);
  assert.equal((await world.until(turn.reply)).text, "You said: Hello");
  assert.equal(times(server, "join_chat"), 2);
});

test("a connection that does not answer any more is replaced", async () => {
  const { world, server, client } = scene();
  const chat = await world.until(client().createChat());
  const first = only(server);
  server.fate = (_number, from) => (from === "server" && server.connections.has(first) ? "lose" : "deliver");
  const turn = chat.send("Hello");
  const reply = await world.until(turn.reply);
  assert.equal(reply.text, "You said: Hello");
  assert.notEqual(only(server), first);
  assert.deepEqual(server.texts(), ["Hello", "You said: Hello"]);
});

test("in time before the gateway's limit the client changes to a new connection, and nobody notices", async () => {
  const { world, server, client } = scene(() => Array(40).fill("more "));
  const made = client();
  const states: string[] = [];
  made.on("state", (state) => states.push(state));
  const chat = await world.until(made.createChat());
  const chatStates = new Set<string>();
  chat.subscribe(() => chatStates.add(chat.snapshot.state));
  const first = only(server);
  await world.pass(110 * MINUTE * 0.9 - 5 * SECOND);
  assert.equal(only(server), first);
  await world.pass(110 * MINUTE * 0.05 + 10 * SECOND);
  assert.notEqual(only(server), first);
  assert.deepEqual(states, ["connecting", "online"]);
  assert.deepEqual([...chatStates], ["ready"]);
  assert.equal((await world.until(chat.send("Hello").reply)).text, "more ".repeat(40));
});

test("a change of connections waits for the end of a reply, but not for ever", async () => {
  const { world, server, client } = scene(() => Array(4000).fill("x"));
  server.lifetime = 2 * MINUTE;
  const chat = await world.until(client().createChat());
  const first = only(server);
  const turn = chat.send("Hello");
  const events = eventsOf(turn);
  await world.pass(116 * SECOND);
  assert.equal(only(server), first);
  await world.pass(4 * SECOND);
  assert.notEqual(only(server), first);
  const reply = await world.until(turn.reply);
  await settled();
  assert.equal(textOf(events), reply.text);
  assert.equal(reply.text, "x".repeat(4000));
});

test("a change of connections that fails leaves the old one in use", async () => {
  const { world, server, client } = scene();
  const made = client();
  const chat = await world.until(made.createChat());
  const first = only(server);
  server.isReachable = false;
  await world.pass(109 * MINUTE);
  assert.equal(made.state, "online");
  assert.equal((await world.until(chat.send("Hello").reply)).text, "You said: Hello");
  assert.equal(only(server), first);
  server.isReachable = true;
  await world.pass(MINUTE);
  assert.notEqual(only(server), first);
});

test("a token is renewed before it expires, on the same connection and in the same chat", async () => {
  const { world, server, client } = scene();
  const reasons: TokenReason[] = [];
  server.userOf = () => "alice";
  const made = client({
    token(reason) {
      reasons.push(reason);
      return tokenUntil(world.now() + 20 * MINUTE);
    },
  });
  const chat = await world.until(made.createChat());
  const first = only(server);
  await world.pass(HOUR);
  assert.deepEqual(reasons, ["connect", "expiry", "expiry", "expiry"]);
  assert.equal(only(server), first);
  assert.equal((await world.until(chat.send("Hello").reply)).text, "You said: Hello");
});

test("times of the server count, whatever this machine's clock says", async () => {
  const { world, server, client } = scene();
  server.userOf = () => "alice";
  let fetched = 0;
  // By this machine's clock the token was over before it was made.
  const skew = 3 * HOUR;
  const wrong = {
    now: () => world.now() + skew,
    setTimeout: (action: () => void, milliseconds: number) => world.setTimeout(action, milliseconds),
    clearTimeout: (timer: unknown) => world.clearTimeout(timer),
    random: () => world.random(),
    id: () => world.id(),
  };
  const token = () => {
    fetched += 1;
    return tokenUntil(world.now() + 20 * MINUTE);
  };
  await world.until(client({ runtime: wrong, token }).createChat());
  await world.pass(18 * MINUTE);
  assert.ok(fetched <= 2, `${fetched}`);
  await world.pass(2 * MINUTE);
  assert.ok(fetched >= 2 && fetched <= 3, `${fetched}`);
});

test("after the end of a session the client connects again with a new token", async () => {
  const { world, server, client } = scene();
  server.userOf = () => "alice";
  let hasTokens = true;
  const token = () => (hasTokens ? tokenUntil(world.now() + 20 * MINUTE) : Promise.reject(new Error("503")));
  const made = client({ token });
  const chat = await world.until(made.createChat());
  hasTokens = false;
  await world.pass(21.5 * MINUTE);
  assert.equal(made.state, "online");
  server.cutAll(1000);
  hasTokens = true;
  await world.pass(SECOND);
  assert.equal(made.state, "online");
  assert.equal((await world.until(chat.send("Hello").reply)).text, "You said: Hello");
});

test("code 1000 ends all tries, and connect() begins again", async () => {
  const { world, server, client } = scene();
  const made = client();
  const chat = await world.until(made.createChat());
  const reply = await world.until(chat.send("Hello").reply);
  server.cutAll(1000);
  await world.pass(HOUR);
  assert.equal(made.state, "closed");
  assert.equal(made.closedBecause?.code, "ended_by_server");
  assert.equal(chat.snapshot.state, "offline");
  assert.equal(world.timers, 0);
  made.connect();
  await world.pass(SECOND);
  assert.equal(made.state, "online");
  assert.deepEqual(chat.snapshot.messages.at(-1), reply);
  assert.equal((await world.until(chat.send("Again").reply)).text, "You said: Again");
});

for (const code of [1001, 1006, 1011, 1012]) {
  test(`after code ${code} the client connects again`, async () => {
    const { world, server, client } = scene();
    const made = client();
    await world.until(made.createChat());
    server.cutAll(code);
    await world.pass(0);
    assert.equal(made.state, "offline");
    await world.pass(SECOND);
    assert.equal(made.state, "online");
  });
}

for (const code of [1003, 1009]) {
  test(`after code ${code} the client connects again, and does not send the frame again`, async () => {
    const { world, server, client } = scene();
    const made = client();
    const chat = await world.until(made.createChat());
    server.deaf.set("message", 1);
    const turn = chat.send("Hello");
    await world.pass(100);
    server.cutAll(code);
    await assert.rejects(world.until(turn.accepted), { code: "frame_too_large" });
    await world.pass(MINUTE);
    assert.equal(made.state, "online");
    assert.equal(times(server, "message"), 1);
    assert.deepEqual(shown(chat), ["user failed: Hello"]);
  });
}

test("a frame over 32 KB is not sent at all", async () => {
  const { world, server, client } = scene();
  const chat = await world.until(client().createChat());
  await assert.rejects(world.until(chat.send("x".repeat(33_000)).accepted), { code: "frame_too_large" });
  assert.equal(times(server, "message"), 0);
});

test("a token that is refused is fetched anew once; then the client is closed", async () => {
  const { world, server, client } = scene();
  const good = new Set(["second"]);
  server.userOf = (token) => {
    if (!good.has(token)) {
      throw new Error("bad");
    }
    return "alice";
  };
  const tokens = ["first", "second"];
  const made = client({ token: () => tokens.shift() ?? "third" });
  await world.until(made.createChat());
  assert.equal(made.userId, "alice");
  // A token that would be good for hours is not offered again after it was refused.
  const later = world.now() + 9 * HOUR;
  good.add(tokenUntil(later, "second"));
  const both = [tokenUntil(later, "first"), tokenUntil(later, "second")];
  await world.until(client({ token: () => both.shift() ?? "third" }).createChat());
  good.clear();
  server.cutAll();
  await world.pass(MINUTE);
  assert.equal(made.closedBecause?.code, "invalid_token");
  const fixed = client({ token: "first" });
  await assert.rejects(world.until(fixed.createChat()), { code: "closed" });
});

test("a connection that the server has forgotten gets its user again", async () => {
  const { world, server, client } = scene();
  const made = client();
  const chat = await world.until(made.createChat());
  const connection = only(server);
  connection.user = connection.chat = undefined;
  const turn = chat.send("Hello");
  assert.equal((await world.until(turn.reply)).text, "You said: Hello");
  assert.equal(only(server), connection);
});

test("a function for tokens that fails is asked again after a pause, and the application is told", async () => {
  const { world, client } = scene();
  let failures = 3;
  const made = client({
    token() {
      if (failures-- > 0) {
        throw new Error("503");
      }
      return "alice";
    },
  });
  const errors: ParleyError[] = [];
  made.on("error", (error) => errors.push(error));
  await world.until(made.createChat());
  assert.deepEqual(
    errors.map(({ code, cause }) => [code, String(cause)]),
    Array(3).fill(["token_failed", "Error: 503"]),
  );
});

test("another user's token ends the client", async () => {
  const { world, server, client } = scene();
  const users = ["alice", "bob"];
  const made = client({ token: () => users.shift()! });
  await world.until(made.createChat());
  server.cutAll();
  await world.pass(SECOND);
  assert.equal(made.closedBecause?.code, "other_user");
});

test("a server of another major version ends the client", async () => {
  const { world, server, client } = scene();
  const made = client();
  made.connect();
  await world.pass(100);
  server.post(only(server), { type: "connected", data: { protocol: "2.0" } } as never);
  await world.pass(100);
  assert.equal(made.closedBecause?.code, "unsupported_protocol");
});

test("errors of the gateway name no frame: what is not answered is asked again", async () => {
  const { world, server, client } = scene();
  const chat = await world.until(client().createChat());
  server.deaf.set("message", 1);
  const turn = chat.send("Hello");
  await world.pass(100);
  const error = { message: "Internal server error", connectionId: "c", requestId: "r" };
  server.post(only(server), error as never);
  await world.pass(1200);
  assert.equal(times(server, "message"), 2);
  assert.equal((await world.until(turn.reply)).text, "You said: Hello");
  server.deaf.set("message", 1);
  const second = chat.send("Second");
  await world.pass(100);
  server.post(only(server), { ...error, message: "Forbidden" } as never);
  await assert.rejects(world.until(second.accepted), { code: "gateway_forbidden" });
});

test("a browser that says it is offline is believed, and its sockets are not waited for", async () => {
  const { world, server, client } = scene();
  const made = client();
  const chat = await world.until(made.createChat());
  server.isReachable = false;
  world.tell("offline");
  assert.equal(made.state, "offline");
  assert.equal(chat.snapshot.state, "offline");
  const turn = chat.send("Hello");
  assert.deepEqual(shown(chat), ["user sending: Hello"]);
  await world.pass(HOUR);
  server.isReachable = true;
  world.tell("online");
  assert.equal((await world.until(turn.reply)).text, "You said: Hello");
});

test("a page that is shown again asks at once whether its connection lives", async () => {
  const { world, server, client } = scene();
  const made = client();
  await world.until(made.createChat());
  await world.pass(MINUTE);
  const dead = only(server);
  server.fate = () => "lose";
  world.tell("shown");
  await world.pass(9 * SECOND);
  assert.equal(made.state, "online");
  await world.pass(SECOND);
  server.fate = () => "deliver";
  await world.pass(SECOND);
  assert.equal(made.state, "online");
  assert.notEqual(only(server), dead);
});

test("each open chat has a connection; a chat that is closed gives its one to the next", async () => {
  const { world, server, client } = scene(() => Array(200).fill("x"));
  const made = client();
  const [one, two] = [await world.until(made.createChat()), await world.until(made.createChat())];
  assert.equal(server.connections.size, 2);
  const turn = one.send("In the first");
  await world.pass(SECOND);
  two.close();
  assert.equal(server.connections.size, 1);
  one.close();
  await assert.rejects(turn.reply, { code: "chat_closed" });
  const third = await world.until(made.openChat(two.id));
  await world.pass(5 * SECOND);
  // The reply in the first chat goes on at the server, and nothing of it is seen here.
  assert.deepEqual(third.snapshot.messages, []);
  assert.equal(times(server, "join_chat"), 3);
  third.close();
  await world.pass(2 * SECOND);
  assert.equal(server.types("client").at(-1), "leave_chat");
  assert.equal(only(server).chat, undefined);
});

test("the user is told once of what comes on every connection", async () => {
  const { world, server, client } = scene();
  const made = client();
  const told: string[] = [];
  made.on("notice", ({ message }) => told.push(message));
  made.on("chatUpdated", ({ title }) => told.push(title));
  made.on("chatDeleted", ({ chatId }) => told.push(chatId));
  const chats = [await world.until(made.createChat()), await world.until(made.createChat())];
  for (const connection of server.connections) {
    server.post(connection, { type: "notice", data: { message: "Tea time", noticeId: "n1" } });
    server.post(connection, { type: "chat_updated", data: { chatId: chats[0]!.id, title: "Tea" } });
    server.post(connection, { type: "chat_deleted", data: { chatId: chats[1]!.id } });
    server.post(connection, { type: "from_the_future", data: {} } as never);
  }
  await world.pass(100);
  assert.deepEqual(told, ["Tea time", "Tea", chats[1]!.id]);
  assert.deepEqual(
    chats.map(({ title, snapshot }) => [title, snapshot.state]),
    [
      ["Tea", "ready"],
      ["New chat", "closed"],
    ],
  );
});

test("a listener that throws disturbs nobody, and no token is shown to listeners", async (context) => {
  const { world, server, client } = scene();
  server.userOf = () => "alice";
  const made = client({ token: "secret" });
  const thrown: unknown[] = [];
  context.mock.method(globalThis, "queueMicrotask", (action: () => void) => {
    try {
      action();
    } catch (error) {
      thrown.push(error);
    }
  });
  const frames: unknown[] = [];
  made.on("frame", (seen) => {
    frames.push(seen);
    throw new Error("mine");
  });
  await world.until(made.createChat());
  assert.ok(frames.length >= 5);
  assert.equal(thrown.length, frames.length);
  assert.doesNotMatch(JSON.stringify(frames), /secret/);
});

test("a closed client has no timer and listens to nothing", async () => {
  const { world, server, client } = scene();
  const made = client();
  const chat = await world.until(made.createChat());
  const turn = chat.send("Hello");
  made.close();
  await assert.rejects(turn.reply, { code: "closed" });
  assert.deepEqual([made.state, chat.snapshot.state, made.closedBecause?.code], ["closed", "closed", "closed"]);
  assert.deepEqual([world.timers > 0, server.connections.size, world.watchers], [true, 0, 0]);
  await world.pass(HOUR);
  assert.equal(world.timers, 0);
});
