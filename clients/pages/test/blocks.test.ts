import assert from "node:assert/strict";
import { test } from "node:test";
import { blocks, NO_BLOCKS } from "../chat/decisions/blocks.ts";

const TEXTS = [
  "# Title\n\nA paragraph\nof two lines.\n\n- one\n- two\n\n  more of two\n\n1. a\n\n2. b\n\n> quote\nlazy\n\nend",
  "```python\nprint('x')\n\n# no title\n```\n\nafter\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n---\n\nSetext\n===\n",
  "- a\n\n---\n\n- b\n\n* c\n\n    code\n\n<div>\nhtml\n\n</div>\n\n[name]: https://example.com\n\n[name]",
  "para\r\n\r\nwith carriage returns\r\n\r\n\tand a tab\r\n\r\nend",
];

for (const [number, text] of TEXTS.entries()) {
  test(`text ${number} has the same blocks, whether it comes whole or in pieces`, () => {
    for (const size of [1, 2, 7]) {
      let grown = NO_BLOCKS;
      for (let end = size; end < text.length + size; end += size) {
        grown = blocks(text.slice(0, end), grown);
      }
      assert.deepEqual(grown.blocks.map((block) => block.raw), blocks(text).blocks.map((block) => block.raw));
    }
  });
}

test("a reply that grows keeps the blocks before its last two", () => {
  const first = blocks("one\n\ntwo\n\nthree\n\nfo");
  const second = blocks("one\n\ntwo\n\nthree\n\nfour", first);
  assert.equal(second.blocks[0], first.blocks[0]);
  assert.equal(second.blocks[1], first.blocks[1]);
  assert.deepEqual(second.blocks.map((block) => block.raw), ["one\n\n", "two\n\n", "three\n\n", "four"]);
});

test("a text that does not continue the one before is read anew", () => {
  assert.deepEqual(blocks("b", blocks("a\n\nb\n\nc\n\nd")).blocks.map((block) => block.raw), ["b"]);
});

test("an empty text has no blocks", () => {
  assert.deepEqual(blocks("", blocks("a")).blocks, []);
});
