"""The pictures of the documentation: where they are kept, and the assistant that they show."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.devices import ROOT

KEPT = ROOT / "docs" / "images"

NAMES = ("chat-page.png", "chat-page-narrow.png", "console.png", "terminal.svg")

GUIDE = '''
"""Answers one question, with everything that a reply may have."""

from handlers.chat.assistants import Assistant, Call, Delta, Source, Turn

TEXT = """A connection of API Gateway ends after **two hours**, or after **ten minutes** without data. So a client:

1. sends `ping` now and then,
2. connects again before the limit,
3. joins the chat with `resume`, and goes on at the exact character.

```js
const client = new ParleyClient({ url, token });
const chat = await client.openChat(chatId);
chat.subscribe(() => render(chat.snapshot));
```

The client does all of this by itself.
"""


async def reply(turn: Turn):
    yield Delta(reasoning="The user asks about limits of connections. The pages on quotas have them.")
    yield Delta(call=Call("search", "search_docs", '{"query": "connection limits"}', "done", "2 pages found"))
    for line in TEXT.splitlines(keepends=True):
        yield line
    yield Delta(source=Source("https://docs.aws.amazon.com/apigateway/", "Quotas of WebSocket APIs"))


assistant = Assistant(title="Docs guide", reply=reply, starters=("How long does a connection live?",))
'''


def folder(otherwise: Path) -> Path:
    """Return the folder for pictures: `PARLEY_PICTURES`, which `make pictures` sets, else a folder of the test's."""
    return Path(os.environ.get("PARLEY_PICTURES") or otherwise)


def are_made() -> bool:
    """Return whether the pictures are for people, who need time to read them."""
    return bool(os.environ.get("PARLEY_PICTURES"))
