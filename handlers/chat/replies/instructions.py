"""Instructions of one turn: the text that the model gets before the conversation."""

from __future__ import annotations

from collections.abc import Callable

from handlers.chat.assistants import Assistant
from handlers.chat.assistants.assistant import check_instructions
from handlers.chat.protocol.frames import clean
from handlers.chat.records import Chat, User
from handlers.chat.replies.hooks import HOOK_SECONDS, Hooked, Hooks
from handlers.chat.store import Store


def instructions_of(
    assistant: Assistant, chat: Chat, store: Store, hooks: Hooks, remaining: Callable[[], float]
) -> str:
    """Return the instructions for a turn of a chat, empty if there are none.

    The user is read only for a function, which has `HOOK_SECONDS`, or the remaining ones. Raises `StoreError`, and what
    hooks raise.
    """
    given = assistant.instructions
    if isinstance(given, str):
        return _said(given)
    user = store.users.get(chat.user_id) or User(chat.user_id)
    hooked = Hooked("instructions", assistant.id, given, check_instructions)
    return _said(hooks.run(hooked, user, chat, seconds=min(HOOK_SECONDS, remaining())))


def _said(text: str) -> str:
    return clean(text).strip()
