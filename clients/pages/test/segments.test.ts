import assert from "node:assert/strict";
import { test } from "node:test";
import { arrange, readable, webAddress, type Part } from "../chat/decisions/segments.ts";

const call = (index: number, offset: number): Part => ({ index, offset, kind: "tool_call", name: `tool ${index}` });

test("parts stand at their places in the text", () => {
  const { segments } = arrange("Let me look.\n\nIt is sunny.", [call(0, 0), call(1, 14)]);
  assert.deepEqual(
    segments.map((segment) => (segment.kind === "text" ? segment.text : segment.part.name)),
    ["tool 0", "Let me look.\n\n", "tool 1", "It is sunny."],
  );
});

test("parts at one place come in the order of their numbers, and blank text between them is left out", () => {
  const { segments } = arrange("\n\nend", [call(2, 2), call(1, 0)]);
  assert.deepEqual(
    segments.map((segment) => (segment.kind === "text" ? segment.text : segment.part.index)),
    [1, 2, "end"],
  );
});

test("a part whose text has not come yet stands at the end", () => {
  assert.equal(arrange("short", [call(0, 99)]).segments.at(-1)!.kind, "part");
});

test("kinds that the page does not know are not shown", () => {
  assert.deepEqual(arrange("text", [{ index: 0, offset: 0, kind: "hologram" }]).segments.length, 1);
});

test("a refusal is shown once, although the text ends with it", () => {
  const part: Part = { index: 0, offset: 5, kind: "refusal", text: "I cannot do this." };
  const whole = arrange("So.\n\nI cannot do this.", [part]);
  assert.deepEqual(whole.segments, [{ kind: "text", start: 0, text: "So." }]);
  assert.equal(whole.refusal, "I cannot do this.");
  assert.deepEqual(arrange("I cannot do this.", [part]).segments, []);
});

test("a source that comes twice is listed once", () => {
  const source = (index: number, url: string): Part => ({ index, offset: 0, kind: "source", url });
  const { sources } = arrange("", [source(0, "https://a.example/"), source(1, "https://a.example/"), source(2, "https://b.example/")]);
  assert.deepEqual(sources.map(({ index }) => index), [0, 2]);
});

test("only addresses of the web are linked", () => {
  assert.equal(webAddress("https://example.com/a"), "https://example.com/a");
  for (const url of ["javascript:alert(1)", " javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "//no.scheme", "", undefined]) {
    assert.equal(webAddress(url), undefined);
  }
});

test("arguments that are JSON are put in order, others stay as they are", () => {
  assert.equal(readable('{"a":1}'), '{\n  "a": 1\n}');
  assert.equal(readable('{"a":'), '{"a":');
});
