/** The rule for pieces of a reply, with texts that are split at random places. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AssistantMessageCompleteData, Part as PartData } from "../src/frames.ts";
import {
  type Reply,
  type ReplyChange,
  type Step,
  emptyReply,
  knownParts,
  replay,
  resumePoint,
  takeAnswer,
  takeEnd,
  takePart,
  takePiece,
  waitingCalls,
} from "../src/reply.ts";
import { textOf } from "./support/conversations.ts";
import { toolCall } from "./support/server.ts";
import { randomNumbers } from "./support/world.ts";

const TEXT = "Tea 🍵 for two, naïve façade, Ελλάδα, 👩‍👩‍👧‍👦 and a lone \ud83c";

function end(reply: Reply, content: string | null, length: number, more: Partial<AssistantMessageCompleteData> = {}) {
  const data = {
    chatId: "chat",
    role: "assistant",
    timestamp: "2026-11-23T12:00:00.000Z",
    finishReason: "stop",
  } as const;
  return takeEnd(reply, { ...data, messageId: reply.messageId, attempt: reply.attempt, content, length, ...more });
}

test("pieces that overlap, come twice, or come again from the beginning make the text, whatever their bounds", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = randomNumbers(seed);
    const upTo = (most: number) => Math.floor(random() * (most + 1));
    let reply = emptyReply("m1", 1);
    const events: ReplyChange[] = [];
    while (reply.text.length < TEXT.length) {
      const offset = upTo(reply.text.length);
      const step = takePiece(reply, { attempt: 1, offset }, TEXT.slice(offset, offset + upTo(12)));
      assert.equal(step.missing, false);
      reply = step.reply;
      events.push(...step.events);
      assert.ok(TEXT.startsWith(reply.text), `seed ${seed}`);
    }
    assert.equal(textOf(events), TEXT, `seed ${seed}`);
    assert.equal(end(reply, null, TEXT.length).missing, false);
  }
});

test("a piece behind a gap is not taken, and the rest is asked for from where the text ends", () => {
  const { reply } = takePiece(emptyReply("m1", 2), { attempt: 2, offset: 0 }, "Hello");
  const step = takePiece(reply, { attempt: 2, offset: 6 }, "world");
  assert.deepEqual([step.missing, step.events, step.reply], [true, [], reply]);
  assert.deepEqual(resumePoint(step.reply), { messageId: "m1", offset: 5, attempt: 2 });
});

test("a new attempt drops the text and the parts, and an old one is ignored", () => {
  let step: Step = takePiece(emptyReply("m1", 1), { attempt: 1, offset: 0 }, "One");
  step = takePart(step.reply, { messageId: "m1", attempt: 1, index: 0, offset: 3, part: toolCall("call", "running") });
  step = takePiece(step.reply, { attempt: 2, offset: 0 }, "Two");
  assert.deepEqual(step.events, [
    { type: "restart", attempt: 2 },
    { type: "text", text: "Two" },
  ]);
  assert.deepEqual([step.reply.text, step.reply.parts.size], ["Two", 0]);
  const old = takePiece(step.reply, { attempt: 1, offset: 3 }, " more");
  assert.deepEqual([old.reply, old.events], [step.reply, []]);
  const late = takePiece(step.reply, { attempt: 3, offset: 9 }, "x");
  assert.deepEqual([late.missing, resumePoint(late.reply)], [true, { messageId: "m1", offset: 0, attempt: 3 }]);
});

test("the end shows the whole text, or says that something is missing", () => {
  const { reply } = takePiece(emptyReply("m1", 1), { attempt: 1, offset: 0 }, "Hel");
  const whole = end(reply, "Hello", 5);
  assert.deepEqual([whole.missing, whole.reply.text, whole.events], [false, "Hello", [{ type: "text", text: "lo" }]]);
  assert.equal(whole.reply.end?.finishReason, "stop");
  const long = end(reply, null, 5);
  assert.deepEqual([long.missing, long.reply.end], [true, undefined]);
  assert.deepEqual([end(reply, null, 3).missing, end(reply, null, 3).reply.text], [false, "Hel"]);
  assert.equal(end(reply, "Hel", 3, { partCount: 1 }).missing, true);
  // Text that was sent does not change. If it has, what is stored counts.
  assert.deepEqual(end(reply, "Bye", 3).events, [
    { type: "restart", attempt: 1 },
    { type: "text", text: "Bye" },
  ]);
});

test("nothing comes after the end", () => {
  const { reply } = end(emptyReply("m1", 1), "Hi", 2);
  for (const step of [
    takePiece(reply, { attempt: 1, offset: 2 }, "!"),
    takePiece(reply, { attempt: 2, offset: 0 }, "Hi"),
    end(reply, "Hi!", 3),
  ]) {
    assert.deepEqual([step.reply, step.events, step.missing], [reply, [], false]);
  }
});

test("the text of a part comes in pieces by the same rule, and the newest state of a call counts", () => {
  for (let seed = 1; seed <= 100; seed++) {
    const random = randomNumbers(seed);
    let reply = emptyReply("m1", 1);
    let added = "";
    const length = () => (reply.parts.get(3) as { text?: string } | undefined)?.text?.length ?? 0;
    while (length() < TEXT.length) {
      const textOffset = Math.floor(random() * (length() + 1));
      const text = TEXT.slice(textOffset, textOffset + 1 + Math.floor(random() * 9));
      const part: PartData = { kind: "reasoning", text, textOffset };
      const step = takePart(reply, { messageId: "m1", attempt: 1, index: 3, offset: 0, part });
      reply = step.reply;
      added += step.events.map((event) => (event.type === "part" ? event.added : "")).join("");
    }
    assert.deepEqual([...reply.parts.values()], [{ kind: "reasoning", text: TEXT, index: 3, offset: 0 }]);
    assert.equal(added, TEXT);
  }
  const gap: PartData = { kind: "refusal", text: "x", textOffset: 4 };
  assert.equal(
    takePart(emptyReply("m1", 1), { messageId: "m1", attempt: 1, index: 0, offset: 0, part: gap }).missing,
    true,
  );
});

test("an answered call waits no more, also if its part still says so", () => {
  const place = { messageId: "m1", attempt: 1, index: 0, offset: 0 };
  const waits = takePart(emptyReply("m1", 1), { ...place, part: toolCall("call", "waiting") }).reply;
  assert.equal(waitingCalls(waits.parts.values()).length, 1);
  const { reply } = takeAnswer(waits, { messageId: "m1", callId: "call", approved: true });
  assert.equal(waitingCalls(reply.parts.values()).length, 0);
  const again = takePart(reply, { ...place, part: toolCall("call", "waiting") }).reply;
  assert.equal(waitingCalls(again.parts.values()).length, 0);
});

test("kinds of parts that this version does not know are counted and not shown", () => {
  const part = { kind: "hologram", beam: 1 } as unknown as PartData;
  const { reply } = takePart(emptyReply("m1", 1), { messageId: "m1", attempt: 1, index: 0, offset: 0, part });
  assert.deepEqual(knownParts(reply.parts.values()), []);
  assert.equal(end(reply, "", 0, { partCount: 1 }).missing, false);
});

test("a reply is told again with each part after the text before it", () => {
  const parts = [
    { kind: "reasoning", text: "Hm", index: 0, offset: 0 },
    { kind: "source", url: "https://tea.example", index: 1, offset: 4 },
    { kind: "refusal", text: "No", index: 2, offset: 99 },
  ] as const;
  assert.deepEqual(replay("m1", 1, "One, two", parts), [
    { type: "start", messageId: "m1", attempt: 1 },
    { type: "part", part: parts[0], added: "Hm" },
    { type: "text", text: "One," },
    { type: "part", part: parts[1] },
    { type: "text", text: " two" },
    { type: "part", part: parts[2], added: "No" },
  ]);
});
