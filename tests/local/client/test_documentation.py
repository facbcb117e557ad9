"""The example of docs/python-client.md, as a reader runs it."""

import asyncio
import re

import parley.client

from tests.support.chat_server import ChatServer, listening
from tests.support.devices import ROOT
from tests.support.waiting import HANGS


async def test_the_first_example_prints_a_reply(capsys):
    text = (ROOT / "docs" / "python-client.md").read_text()
    example = re.search(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[1]
    names = {}
    exec(example, names)
    async with asyncio.timeout(HANGS), listening(ChatServer()) as url:
        await names["main"](url, "token")
    assert capsys.readouterr().out == "You said: hi\nstop\n"


def test_the_page_names_what_there_is():
    text = (ROOT / "docs" / "python-client.md").read_text()
    named = set(re.findall(r"`([A-Z][A-Za-z]+)[`(]", text))
    assert named - set(parley.client.__all__) == set()
