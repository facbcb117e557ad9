"""Instructions of one turn: the text that the model gets before the conversation."""

from __future__ import annotations

from handlers.chat.assistants import Assistant
from handlers.chat.assistants.assistant import check_instructions
from handlers.chat.log import logger
from handlers.chat.protocol.frames import clean
from handlers.chat.records import Chat, User
from handlers.chat.store import Store


def instructions_of(assistant: Assistant, chat: Chat, store: Store) -> str | None:
    """Return the instructions for a turn of a chat, empty if there are none. None if their function has failed.

    The user is read only for a function. Raises `StoreError`.
    """
    given = assistant.instructions
    if isinstance(given, str):
        return _said(given)
    user = store.users.get(chat.user_id) or User(chat.user_id)
    try:
        return _said(check_instructions(given(user, chat)))
    except (Exception, SystemExit):
        # It is the developer's code: whatever it does, the turn comes to its end.
        logger.exception("instructions_failed", assistant=assistant.id)
        return None


def _said(text: str) -> str:
    return clean(text).strip()
