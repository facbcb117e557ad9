"""The chat page as a person uses it, and a project whose assistants do what the tests of the page need."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, WebSocketRoute, expect

from tests.support import axe, own_project
from tests.support.devices import Emulator
from tests.support.waiting import HANGS

RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")

SHOP = '''
from handlers.chat.assistants import Assistant, ToolContext, tool

def repeat(text: str) -> str:
    """Return the text."""
    return text

@tool(needs_approval=True)
def cancel_order(order: int, context: ToolContext) -> str:
    """Cancel an order of the user."""
    return f"Order {order} is cancelled."

assistant = Assistant(title="Shop", tools=(repeat, cancel_order), starters=("Which orders?", "What is new?"))
'''
WRITER = '''
"""Says what it is told to, with all kinds of parts. A reply to "wait NAME" ends when a file of this name is there."""

import asyncio
from pathlib import Path

from handlers.chat.assistants import Assistant, Call, Delta, Source, Turn

GATES = Path({gates!r})


async def reply(turn: Turn):
    command, _, rest = turn.question.partition(" ")
    if command == "wait":
        while not (GATES / rest).exists():
            yield "and "
            await asyncio.sleep(0.02)
        yield "that is all."
    elif command == "parts":
        yield Delta(reasoning="A thought: " + rest)
        yield Delta(call=Call("call", "search", rest, "done", rest))
        yield "Found: " + rest
        yield Delta(source=Source("https://example.com/", rest, rest))
        yield Delta(source=Source("javascript:steal()", rest))
    elif command == "refuse":
        yield "So far. "
        yield Delta(refusal=rest)
    else:
        yield turn.question


assistant = Assistant(title="Writer", reply=reply)
'''


class Project:
    """A copy of our functions with assistants for tests, in a running emulator.

    `assistants` are the texts of more of them, and `variables` more of the emulator's.
    """

    def __init__(
        self, folder: Path, assistants: Mapping[str, str] | None = None, variables: Mapping[str, str] | None = None
    ) -> None:
        self.gates = folder / "gates"
        self.gates.mkdir()
        template = own_project.copy(folder)
        texts = {"shop": SHOP, "writer": WRITER.format(gates=str(self.gates)), **(assistants or {})}
        for name, text in texts.items():
            (folder / "handlers" / "assistants" / f"{name}.py").write_text(text)
        self.emulator = Emulator(
            **{
                "PARLEY_TEMPLATE": template,
                "PARLEY_USERS": "alice,bob",
                "CHAT_LANGUAGE": "en",
                "REASONING": "stored",
                "MESSAGES_PER_MINUTE": "1000",
                **(variables or {}),
            }
        )

    @property
    def url(self) -> str:
        return f"{self.emulator.url}/"

    def open_gate(self, name: str) -> None:
        """Let the reply to `wait NAME` end."""
        (self.gates / name).touch()


class ChatPage:
    """One tab with the chat page. Its methods do what a person does, and wait for what the person waits for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        page.set_default_timeout(HANGS * 1000)
        self.field = page.get_by_role("textbox", name="Write a message")
        self.replies = page.locator("article.reply")
        self.questions = page.locator("article.question")
        self.chats = page.locator(".chat-item a")

    def choose(self, assistant: str) -> None:
        self.page.get_by_role("radio", name=assistant).check()

    def say(self, text: str) -> None:
        """Send a message, and do not wait for its reply."""
        self.field.fill(text)
        self.field.press("Enter")

    def ask(self, text: str) -> Locator:
        """Send a message, and return its reply when it is whole."""
        messages = self.page.locator("article")
        before = int(messages.last.get_attribute("aria-posinset") or 0) if messages.count() else 0
        self.say(text)
        # Of a long chat only some messages are in the document, so they have numbers.
        reply = self.page.locator(f'article[aria-posinset="{before + 2}"]')
        self.expect_whole(reply)
        return reply

    def expect_whole(self, reply: Locator) -> None:
        expect(reply.get_by_role("button", name="Copy", exact=True).last).to_be_attached(timeout=HANGS * 1000)

    def act(self, action: str) -> None:
        """Choose an action of the menu of the chat that is open."""
        self.page.locator("main > header").get_by_role("button", name=re.compile("^Actions for")).click()
        self.page.get_by_role("menuitem", name=action).click()

    def settings(self) -> Locator:
        self.page.locator(".person-button").click()
        return self.page.locator(".settings")

    def violations(self) -> list[str]:
        """Return what axe finds on the page as it is now."""
        return axe.violations(self.page, RULES)

    def is_too_wide(self) -> bool:
        """Return whether the page scrolls sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


class Cable:
    """The WebSocket connections of a page, which a test cuts and lets through again."""

    def __init__(self, page: Page) -> None:
        self.is_cut = False
        self.open: list[WebSocketRoute] = []
        page.route_web_socket(re.compile("/ws/chat$"), self._connect)

    def _connect(self, route: WebSocketRoute) -> None:
        if self.is_cut:
            route.close(code=1012)
        else:
            route.connect_to_server()
            self.open.append(route)

    def cut(self) -> None:
        self.is_cut = True
        while self.open:
            self.open.pop().close(code=1012)

    def mend(self) -> None:
        self.is_cut = False


class FakeBackend:
    """A WebSocket API that says what a test wants: a chat with given messages, and answers to frames by their type."""

    CHAT = "0199d7c2-0000-7000-8000-000000000001"

    def __init__(self, page: Page, messages: list[dict[str, Any]], **answers: dict[str, Any]) -> None:
        self.messages = messages
        self.answers = answers
        self.open: list[WebSocketRoute] = []
        page.route_web_socket(re.compile("/ws/chat$"), self._connect)

    def _connect(self, route: WebSocketRoute) -> None:
        limits = {"messageChars": 8000, "idleSeconds": 600}
        greeting = {"message": "", "protocol": "1.2", "connectionId": "c", "limits": limits, "assistants": []}
        times = {"serverTime": "2026-11-26T12:00:00.000Z", "reconnectBefore": "2036-11-26T14:00:00.000Z"}
        self.open.append(route)
        route.on_message(lambda text: self._answer(route, json.loads(str(text))))
        route.send(json.dumps({"type": "connected", "data": greeting | times}))

    def push(self, kind: str, **data: Any) -> None:
        """Send a frame to each connection."""
        for route in self.open:
            route.send(json.dumps({"type": kind, "data": data}))

    def _answer(self, route: WebSocketRoute, frame: dict[str, Any]) -> None:
        chat = {"chatId": self.CHAT, "title": "A long chat", "assistant": "default"}
        answers: list[tuple[str, dict[str, Any]]] = []
        if frame["type"] == "join_chat":
            answers.append(("authenticated", {"userId": "alice"}))
            if "chatId" in frame["data"]:
                answers.append(("chat_joined", chat | {"messages": self.messages, "hasMore": False}))
        if frame["type"] in self.answers:
            again = {"clientMessageId": frame["data"].get("clientMessageId")}
            answers.append(("error", self.answers[frame["type"]] | again))
        for kind, data in answers:
            route.send(json.dumps({"type": kind, "data": data, "requestId": frame.get("requestId")}))


def message(number: int, role: str = "user", text: str = "") -> dict[str, Any]:
    """Return a message of the history."""
    content = text or f"Message number {number}."
    at = f"2026-11-26T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}.000Z"
    return {"messageId": f"0199d7c2-0000-7000-8000-{number:012}", "content": content, "role": role, "timestamp": at}
