"""Assistants: what their files say (`assistant`, `tools`), and the search for these files (`registry`)."""

from handlers.chat.assistants.assistant import Assistant
from handlers.chat.assistants.tools import Tool, ToolContext, ToolError, tool

__all__ = ["Assistant", "Tool", "ToolContext", "ToolError", "tool"]
