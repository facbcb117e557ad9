import assert from "node:assert/strict";
import { test } from "node:test";
import { located } from "../chat/config.ts";
import { placeAmong } from "../chat/decisions/branches.ts";
import { dollars, fileSize, moment, spoken, waitOf } from "../chat/decisions/format.ts";
import { grouped, matching, periodOf } from "../chat/decisions/grouping.ts";
import { anywhere, whileWriting, type Key, type Writing } from "../chat/decisions/keys.ts";
import { merged } from "../chat/state/list.ts";
import { languageOf } from "../shared/preferences.ts";
import { plural } from "../shared/i18n.ts";
import { place } from "../shared/ui.tsx";

const key = (name: string, more: Partial<Key> = {}): Key => ({
  key: name, shiftKey: false, ctrlKey: false, metaKey: false, altKey: false, isComposing: false, ...more,
});
const writing = (more: Partial<Writing> = {}): Writing => ({ empty: false, editing: false, replying: false, touch: false, ...more });

test("Enter sends, with Shift it is a new line", () => {
  assert.equal(whileWriting(key("Enter"), writing()), "send");
  assert.equal(whileWriting(key("Enter", { shiftKey: true }), writing()), undefined);
});

test("Enter is a new line on a touch screen, and with an input method it chooses a word", () => {
  assert.equal(whileWriting(key("Enter"), writing({ touch: true })), undefined);
  assert.equal(whileWriting(key("Enter", { ctrlKey: true }), writing({ touch: true })), "send");
  assert.equal(whileWriting(key("Enter", { isComposing: true }), writing()), undefined);
});

test("Escape ends an edit first, then stops the reply", () => {
  assert.equal(whileWriting(key("Escape"), writing({ editing: true, replying: true })), "cancel-edit");
  assert.equal(whileWriting(key("Escape"), writing({ replying: true })), "stop");
  assert.equal(whileWriting(key("Escape"), writing()), undefined);
});

test("the arrow up edits the last message only from an empty field", () => {
  assert.equal(whileWriting(key("ArrowUp"), writing({ empty: true })), "edit-last");
  assert.equal(whileWriting(key("ArrowUp"), writing()), undefined);
});

test("shortcuts work anywhere, single keys only outside of fields", () => {
  assert.equal(anywhere(key("k", { metaKey: true }), true), "search");
  assert.equal(anywhere(key("O", { ctrlKey: true, shiftKey: true }), true), "new-chat");
  assert.equal(anywhere(key("/", { ctrlKey: true }), true), "shortcuts");
  assert.equal(anywhere(key("/"), true), undefined);
  assert.equal(anywhere(key("/"), false), "write");
  assert.equal(anywhere(key("k"), false), undefined);
});

test("a message with siblings has a place among them", () => {
  assert.deepEqual(placeAmong("b", ["a", "b", "c"]), { number: 2, count: 3, previous: "a", next: "c" });
  assert.deepEqual(placeAmong("a", ["a", "b"]), { number: 1, count: 2, next: "b" });
  assert.equal(placeAmong("a", undefined), undefined);
  assert.equal(placeAmong("a", ["a"]), undefined);
  assert.equal(placeAmong("x", ["a", "b"]), undefined);
});

test("chats are grouped by the day of the person's clock", () => {
  const now = new Date(2026, 10, 26, 9, 30);
  const before = (days: number, hour: number) => new Date(2026, 10, 26 - days, hour);
  assert.equal(periodOf(before(0, 0), now), "today");
  assert.equal(periodOf(before(-1, 9), now), "today"); // A clock that is late.
  assert.equal(periodOf(before(1, 23), now), "yesterday");
  assert.equal(periodOf(before(1, 0), now), "yesterday");
  assert.equal(periodOf(before(2, 23), now), "week");
  assert.equal(periodOf(before(20, 12), now), "month");
  assert.equal(periodOf(before(60, 12), now), "older");
  const chats = [before(0, 8), before(0, 7), before(1, 7)].map((date) => ({ updatedAt: date.toISOString() }));
  assert.deepEqual(grouped(chats, now).map(({ period, chats }) => [period, chats.length]), [["today", 2], ["yesterday", 1]]);
});

test("a search finds titles with all of its words", () => {
  const chats = [{ title: "Рецепт борща" }, { title: "Borscht recipe" }];
  assert.deepEqual(matching(chats, " БОРЩ рец"), [chats[0]]);
  assert.deepEqual(matching(chats, ""), chats);
});

test("a page of chats takes the place of those that are here, the last used first", () => {
  const chat = (chatId: string, updatedAt: string, title = "") => ({ chatId, updatedAt, title, assistant: "default" });
  const all = merged([chat("a", "3"), chat("b", "2")], [chat("b", "4", "new"), chat("c", "1")]);
  assert.deepEqual(all.map(({ chatId, title }) => chatId + title), ["bnew", "a", "c"]);
});

test("costs show two digits that say something", () => {
  assert.equal(dollars(0.000114, "en"), "$0.00011");
  assert.equal(dollars(1.5, "en"), "$1.50");
  assert.equal(dollars(0, "en"), "$0.00");
});

test("sizes of files are short", () => {
  assert.equal(fileSize(48_213, "en"), "47 KB");
  assert.equal(fileSize(1_500_000, "en"), "1.4 MB");
  assert.equal(fileSize(12, "ru"), "12 Б");
});

test("a short wait is told in seconds, a long one as a time", () => {
  const now = new Date(2026, 10, 26, 12, 0);
  assert.deepEqual(waitOf(0.2, now), { seconds: 1 });
  assert.deepEqual(waitOf(600, now), { at: new Date(2026, 10, 26, 12, 10) });
  assert.equal(moment(new Date(2026, 10, 26, 12, 10), now, "ru"), "12:10");
  assert.match(moment(new Date(2025, 10, 26, 12, 10), now, "en"), /2025/);
});

test("a reply is read aloud without the signs of Markdown", () => {
  assert.equal(spoken("# Title\n\n**Bold** and [a link](https://x.example)\n\n```js\nx\n```\nend"), "Title Bold and a link … end");
});

test("the language is the first of the browser's that we have", () => {
  assert.equal(languageOf(["de-DE", "ru-RU", "en"]), "ru");
  assert.equal(languageOf(["de"]), "en");
  assert.equal(languageOf([]), "en");
});

test("numbers have the forms of their language", () => {
  const forms = { one: "источник", few: "источника", many: "источников", other: "источника" };
  assert.deepEqual([1, 2, 5, 21].map((count) => plural("ru", count, forms)), ["1 источник", "2 источника", "5 источников", "21 источник"]);
});

test("a box stands below its button if it fits, else above, and never outside of the window", () => {
  const window = { width: 360, height: 700 };
  const box = { width: 200, height: 100 };
  assert.deepEqual(place({ left: 10, right: 50, top: 20, bottom: 50 }, box, window), { left: 10, top: 56 });
  assert.deepEqual(place({ left: 310, right: 350, top: 650, bottom: 690 }, box, window), { left: 150, top: 544 });
  assert.deepEqual(place({ left: 0, right: 30, top: 10, bottom: 40 }, { width: 400, height: 900 }, window), { left: 6, top: 6 });
});

test("relative addresses of the settings belong to the page", () => {
  const at = (webSocketUrl: string, httpUrl: string) => {
    const config = located({ webSocketUrl, httpUrl }, "https://chat.example/page/");
    return [config.webSocketUrl, config.httpUrl];
  };
  assert.deepEqual(at("/ws/chat", ""), ["wss://chat.example/ws/chat", "https://chat.example"]);
  assert.deepEqual(at("/ws/chat", "/api"), ["wss://chat.example/ws/chat", "https://chat.example/api"]);
  assert.deepEqual(at("wss://ws.example/live", "https://api.example/"), ["wss://ws.example/live", "https://api.example"]);
});
