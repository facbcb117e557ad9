"""Assistants: what a file of `handlers/assistants` says (`assistant`), and the search for these files (`registry`)."""

from handlers.chat.assistants.assistant import Assistant

__all__ = ["Assistant"]
