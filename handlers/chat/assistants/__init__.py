"""Assistants: what their files say (`assistant`, `tools`, `hooks`), and the search for these files (`registry`)."""

from handlers.chat.assistants.assistant import Assistant
from handlers.chat.assistants.hooks import HookContext, Refusal
from handlers.chat.assistants.tools import Tool, ToolContext, ToolError, tool

__all__ = ["Assistant", "HookContext", "Refusal", "Tool", "ToolContext", "ToolError", "tool"]
