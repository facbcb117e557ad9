"""A reply worker whose assistant has tools, and a model with one script for each question."""

from __future__ import annotations

from handlers.chat.assistants import Assistant, tool
from handlers.chat.records import FinishReason, ToolCall
from handlers.chat.replies.deltas import Delta
from tests.support.assistants import assistants
from tests.support.reply_worker import TURN, ScriptedModel, reply_worker


class SteppedModel:
    """A model with a script for each question. What comes after the last script fails the test."""

    def __init__(self, *scripts):
        self.scripts = [ScriptedModel(*script) for script in scripts]
        self.questions = []

    def answer(self, question):
        self.questions.append(question)
        return self.scripts[len(self.questions) - 1].answer(question)

    @property
    def read(self):
        """The results that each question had, by step."""
        return [[[each.result for each in step.calls] for step in asked.steps] for asked in self.questions]


class Shop:
    """Tools, of which `pay` needs approval. `ran` are the calls that were made."""

    def __init__(self):
        self.ran = []

    @property
    def tools(self):
        @tool(needs_approval=True)
        def pay(amount: int = 1) -> str:
            """Pay."""
            self.ran.append("pay")
            return "paid"

        def look() -> str:
            """Look."""
            self.ran.append("look")
            return "sun"

        return pay, look


def calls(*named, usage=None):
    """The end of an answer that asks for calls: names, or pairs of a name and its arguments."""
    pairs = [each if isinstance(each, tuple) else (each, "{}") for each in named]
    return Delta("", FinishReason.STOP, usage, calls=tuple(ToolCall(name, arguments) for name, arguments in pairs))


def tool_worker(store, gateway, model, *tools, **more):
    """A worker whose default assistant has these tools."""
    return reply_worker(store, gateway, model, [], assistants=assistants(default=Assistant(tools=tools)), **more)


def make_with(store, gateway, model, *tools, turn=TURN, remaining=900.0, **more):
    """Make a reply with tools."""
    tool_worker(store, gateway, model, *tools, **more).make(turn, lambda: remaining)
