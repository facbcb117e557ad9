"""Assistants for tests, without files."""

from dataclasses import replace

from handlers.chat.assistants import Assistant
from handlers.chat.assistants.registry import Assistants


def assistants(**named):
    """Return the assistants of a deployment: a default one without instructions, and these, by their ids.

    With None in its place, the default one is broken.
    """
    known = {"default": Assistant(), **named}
    return Assistants({name: replace(each, id=name) for name, each in known.items() if each is not None})
