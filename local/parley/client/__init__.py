"""The client of a Parley chat, for programs in Python.

```python
import asyncio
from parley.client import ParleyClient, ReplyText

async def main() -> None:
    async with ParleyClient("ws://localhost:8000/ws/chat", token) as client:
        chat = await client.create_chat()
        turn = await chat.send("hi")
        async for event in turn:
            if isinstance(event, ReplyText):
                print(event.text, end="", flush=True)
        message = await turn.reply()

asyncio.run(main())
```

It needs `websockets` and nothing else. docs/python-client.md has the events and the errors.
"""

from parley.client.chat import Chat
from parley.client.client import ParleyClient
from parley.client.errors import (
    ChatNotFound,
    Closed,
    InvalidToken,
    ParleyError,
    Refused,
    ReplyGone,
    RequestLost,
    TooLarge,
    Unreachable,
    UnsupportedProtocol,
)
from parley.client.events import (
    BranchSelected,
    CallAnswered,
    ChatDeleted,
    ChatEvent,
    ChatUpdated,
    Notice,
    ReplyEnded,
    ReplyEvent,
    ReplyPart,
    ReplyRestarted,
    ReplyStarted,
    ReplyText,
    StateChanged,
    UserMessage,
)
from parley.client.frames import ListedAssistant
from parley.client.messages import Message
from parley.client.reply import Part
from parley.client.timing import Runtime, Timing
from parley.client.turn import Turn

__all__ = [
    "BranchSelected",
    "CallAnswered",
    "Chat",
    "ChatDeleted",
    "ChatEvent",
    "ChatNotFound",
    "ChatUpdated",
    "Closed",
    "InvalidToken",
    "ListedAssistant",
    "Message",
    "Notice",
    "ParleyClient",
    "ParleyError",
    "Part",
    "Refused",
    "ReplyEnded",
    "ReplyEvent",
    "ReplyGone",
    "ReplyPart",
    "ReplyRestarted",
    "ReplyStarted",
    "ReplyText",
    "RequestLost",
    "Runtime",
    "StateChanged",
    "Timing",
    "TooLarge",
    "Turn",
    "Unreachable",
    "UnsupportedProtocol",
    "UserMessage",
]
