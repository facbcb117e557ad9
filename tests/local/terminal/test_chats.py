"""The list of chats in the terminal client."""

import json
from http import HTTPStatus
from io import BytesIO
from urllib.error import HTTPError

import pytest
from parley.terminal.chats import Chats, ChatsUnavailable, http_url_of

from tests.support.terminal import at_a_terminal, piped

CHATS = [
    {"chatId": "c1", "title": "New chat", "updatedAt": "2026-11-26T10:00:00.000Z"},
    {"chatId": "c7", "title": "Чай \x1b[2J", "updatedAt": "2026-11-25T09:00:00.000Z"},
    {"chatId": "c8", "title": "Odd", "updatedAt": "yesterday"},
]


@pytest.fixture
def listed(server):
    server.chats = HTTPStatus.OK, json.dumps({"chats": CHATS, "cursor": None})


@pytest.mark.usefixtures("listed")
class TestAList:
    async def test_it_numbers_the_chats_and_names_this_one(self, server):
        shown = await piped(server, "/chats")

        lines = [line.split(maxsplit=1) for line in shown.splitlines()[1:]]
        assert [number for number, _ in lines] == ["1", "2", "3", "`/join"]
        assert lines[0][1].endswith("  New chat (this one)")
        assert lines[1][1].endswith("  Чай [2J")
        assert lines[2][1] == "yesterday  Odd"
        assert server.asked_for_chats == ["Bearer token"]

    async def test_a_chat_is_joined_by_its_number_or_its_id(self, server):
        await piped(server, "/chats", "/join 2", "/join c8")

        assert [data["chatId"] for data in server.sent("join_chat")[1:]] == ["c7", "c8"]

    @pytest.mark.parametrize("named", ["0", "4", "-1", "²", "9" * 5000])
    async def test_what_is_no_number_of_the_list_is_an_id(self, server, named):
        await piped(server, "/chats", f"/join {named}")

        assert [data["chatId"] for data in server.sent("join_chat")[1:]] == [named]

    async def test_without_a_list_a_number_is_an_id(self, server):
        await piped(server, "/join 2")

        assert [data["chatId"] for data in server.sent("join_chat")[1:]] == ["2"]


async def test_without_chats_it_says_so(server):
    assert "There are no chats yet.\n" in await piped(server, "/chats")


@pytest.mark.parametrize(
    "answer",
    [
        (HTTPStatus.UNAUTHORIZED, "{}"),
        (HTTPStatus.INTERNAL_SERVER_ERROR, "down"),
        (HTTPStatus.OK, "<html>"),
        (HTTPStatus.OK, "[]"),
        (HTTPStatus.OK, '{"chats": [{"title": "x"}]}'),
        (HTTPStatus.OK, '{"chats": 7}'),
    ],
)
async def test_an_answer_that_is_no_list_is_one_line_and_the_chat_goes_on(server, answer):
    server.chats = answer
    async with at_a_terminal(server) as terminal:
        terminal.type("/chats", "Hello")
        await terminal.shows("You said: Hello\n")

    assert "list of chats" in terminal.shown
    assert "Traceback" not in terminal.shown


async def test_a_refusal_leaves_no_connection_open(monkeypatch):
    connection = BytesIO(b"{}")

    def refuse(request, timeout):
        raise HTTPError(request.full_url, HTTPStatus.UNAUTHORIZED, "", {}, connection)

    monkeypatch.setattr("parley.terminal.chats.urlopen", refuse)
    with pytest.raises(ChatsUnavailable, match="HTTP 401"):
        await Chats("http://there", "token").load()
    assert connection.closed


@pytest.mark.parametrize("http_url", ["http://127.0.0.1:1", "ftp://there", "no URL"])
async def test_an_http_api_that_does_not_answer_is_one_line(server, http_url):
    shown = await piped(server, "/chats", "Hello", http_url=http_url)

    assert f"{http_url}/chats " in shown
    assert "You said: Hello" in shown


@pytest.mark.parametrize(
    ("url", "http_url"),
    [
        ("ws://127.0.0.1:8000/ws/chat", "http://127.0.0.1:8000"),
        ("ws://localhost:8001/live", "http://localhost:8001"),
        ("wss://[::1]:8443/live", "https://[::1]:8443"),
        ("wss://abc.execute-api.eu-central-1.amazonaws.com/live", None),
        ("ws://192.168.0.7:8000/ws/chat", None),
        ("nonsense", None),
    ],
)
def test_the_http_api_of_an_emulator_is_known(url, http_url):
    assert http_url_of(url) == http_url


async def test_elsewhere_it_is_to_be_named(server, monkeypatch):
    monkeypatch.setattr("parley.terminal.chat.http_url_of", lambda url: None)

    assert "parley chat --http-url" in await piped(server, "/chats")
