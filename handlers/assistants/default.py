"""The assistant of every chat that names none. The template's parameter `Instructions` says how it is to answer."""

import os

from handlers.chat.assistants import Assistant

assistant = Assistant(
    title={"en": "Assistant", "ru": "Ассистент"},
    instructions=os.environ.get("INSTRUCTIONS", ""),
)
