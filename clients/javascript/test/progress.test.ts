/** What an adapter shows of a reply, on a screen that can only grow. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { outline } from "../src/adapters/outline.ts";
import { type Change, NOTHING, Progress, type Shown, keyOf } from "../src/adapters/progress.ts";
import type { Message, Part, ReplyEvent, ToolCallPart } from "../src/types.ts";

const text = (added: string): ReplyEvent => ({ type: "text", text: added });
const part = (shown: Part): ReplyEvent => ({ type: "part", part: shown });
const again: ReplyEvent = { type: "restart", attempt: 2 };
const call = (state: ToolCallPart["state"], more: Partial<ToolCallPart> = {}): ToolCallPart => ({
  kind: "tool_call",
  callId: "c1",
  name: "lamp",
  arguments: '{"on": true}',
  state,
  index: 0,
  offset: 3,
  ...more,
});
const thought = (thinks: string): Part => ({ kind: "reasoning", text: thinks, index: 0, offset: 0 });

function end(whole: string, parts: Part[] = []): ReplyEvent {
  const message: Message = { id: "m2", role: "assistant", text: whole, status: "done", parts };
  return { type: "end", message };
}

/** Return the changes of events, short: text in quotes, a part as its key and state, a restart as RESTART and what is there. */
function changes(events: ReplyEvent[], shown: Shown = NOTHING): string[] {
  const progress = new Progress(shown);
  return events.flatMap((event) => progress.take(event)).flatMap(short);
}

function short(change: Change): string | string[] {
  switch (change.type) {
    case "text":
      return `"${change.text}"`;
    case "restart":
      return ["RESTART", ...outline(change.now.text, change.now.parts.values()).flatMap(short)];
    case "part":
      return change.part.kind === "tool_call" ? `${keyOf(change.part)} ${change.part.state}` : `${keyOf(change.part)}: ${"text" in change.part && change.part.text}`;
  }
}

test("text and parts are shown as they come", () => {
  const events = [part(thought("Hm")), part(thought("Hm, well")), text("On "), text("it"), part(call("running")), part(call("done")), end("On it")];
  assert.deepEqual(changes(events), ["reasoning-0: Hm", "reasoning-0: Hm, well", '"On "', '"it"', "call-c1 running", "call-c1 done"]);
});

test("what comes again and is the same is shown once", () => {
  const before = [text("On "), part(call("waiting"))];
  const after = [again, text("O"), text("n "), part(call("done", { result: "ok" })), text("Done."), end("On Done.")];
  assert.deepEqual(changes([...before, ...after]), ['"On "', "call-c1 waiting", "call-c1 done", '"Done."']);
});

test("a piece that goes on beyond what is shown is new from there", () => {
  assert.deepEqual(changes([text("One, "), again, text("One, two"), end("One, two")]), ['"One, "', '"two"']);
});

test("another text is shown anew, with all that has come again", () => {
  const before = [text("On "), part(call("done")), text("it works")];
  const after = [again, text("On "), part(call("done")), text("it fails"), end("On it fails")];
  assert.deepEqual(changes([...before, ...after]).slice(3), ["RESTART", '"On "', "call-c1 done", '"it fails"']);
});

test("a new part waits until the text that is shown has come again", () => {
  const before = [text("On it")];
  assert.deepEqual(changes([...before, again, text("On "), part(call("running")), text("it now")]).slice(1), ["call-c1 running", '" now"']);
  assert.deepEqual(changes([...before, again, part(thought("Hm")), text("Off")]).slice(1), ["RESTART", "reasoning-0: Hm", '"Off"']);
});

test("a text that becomes shorter is shown anew at its end", () => {
  assert.deepEqual(changes([text("On and on"), again, text("On"), end("On")]), ['"On and on"', "RESTART", '"On"']);
});

test("a call that does not come again is dropped at the end", () => {
  assert.deepEqual(changes([text("On "), part(call("done")), again, text("On "), end("On ")]).slice(2), ["RESTART", '"On "']);
});

test("a call with another result, or that runs once more, is shown anew", () => {
  const before = [text("On "), part(call("done", { result: "ok" }))];
  for (const other of [call("done", { result: "no" }), call("running"), call("done", { result: "ok", arguments: "{}" })]) {
    assert.ok(changes([...before, again, text("On "), part(other)]).includes("RESTART"));
  }
});

test("a result that history has cut, and arguments with other spaces, are the same", () => {
  const shown = { text: "On ", parts: new Map([["call-c1", call("done", { result: "a long", arguments: '{"on":true}' })]]) };
  assert.deepEqual(changes([text("On "), part(call("done", { result: "a long result" })), end("On ")], shown), []);
});

test("reasoning that is not stored stays on the screen when the reply goes on", () => {
  const events = [part(thought("Hm")), text("On "), part(call("waiting")), again, text("On "), part(call("done")), end("On ")];
  assert.deepEqual(changes(events), ["reasoning-0: Hm", '"On "', "call-c1 waiting", "call-c1 done"]);
});

test("a lost end of the text comes with the end", () => {
  assert.deepEqual(changes([text("On "), end("On it")]), ['"On "', '"it"']);
});

test("a reply waits if a call waits, nobody has answered, and no other call runs", () => {
  const progress = new Progress();
  const waits = (...parts: Part[]) => {
    parts.forEach((each) => progress.take(part(each)));
    return progress.waitingCalls.map(({ callId }) => callId);
  };
  assert.deepEqual(waits(call("waiting")), ["c1"]);
  assert.deepEqual(waits(call("running", { callId: "c2", index: 1 })), []);
  assert.deepEqual(waits(call("done", { callId: "c2", index: 1 })), ["c1"]);
  assert.deepEqual(waits(call("waiting", { approved: true })), []);
});

test("the outline of a reply has its text around its parts", () => {
  const source: Part = { kind: "source", url: "https://tea.example", index: 2, offset: 99 };
  const pieces = outline("On it", [source, call("done"), thought("Hm")]);
  const names = pieces.map((piece) => (piece.type === "text" ? piece.text : piece.part.kind));
  assert.deepEqual(names, ["reasoning", "On ", "tool_call", "it", "source"]);
});
