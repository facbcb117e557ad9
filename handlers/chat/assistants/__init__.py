"""Assistants: what their files say (`assistant`, `tools`, `hooks`, `agents`), and the search for these (`registry`)."""

from handlers.chat.assistants.agents import Call, ChatMessage, Delta, Reply, Source, Turn
from handlers.chat.assistants.assistant import Assistant
from handlers.chat.assistants.hooks import HookContext, Refusal
from handlers.chat.assistants.tools import Tool, ToolContext, ToolError, tool
from handlers.chat.records import FinishReason, Usage

__all__ = [
    "Assistant",
    "Call",
    "ChatMessage",
    "Delta",
    "FinishReason",
    "HookContext",
    "Refusal",
    "Reply",
    "Source",
    "Tool",
    "ToolContext",
    "ToolError",
    "Turn",
    "Usage",
    "tool",
]
