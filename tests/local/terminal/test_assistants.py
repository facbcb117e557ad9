"""The terminal client and the assistants of a server."""

import pytest
from click.testing import CliRunner
from parley.cli.main import main
from parley.client.frames import Frame, FrameError, ListedAssistant
from parley.terminal.session import ClientError

from tests.support.terminal import at_a_terminal, piped

DEFAULT = {"id": "default", "title": "Assistant", "starters": []}
TEA = {"id": "tea", "title": "Tea house", "starters": ["Which tea?", "How hot?"]}


@pytest.fixture
def server(server):
    server.assistants = [DEFAULT, TEA]
    return server


async def test_they_are_shown_once_with_how_to_choose_one(server):
    shown = await piped(server, "Hello")
    assert shown.startswith(
        "Assistants: default (Assistant), tea (Tea house). `/new ASSISTANT` starts a chat with one.\n"
    )
    assert shown.endswith("New chat · chat c1\nYou said: Hello\n")


@pytest.mark.parametrize("listed", [None, [], [DEFAULT]], ids=["an earlier server", "none", "one"])
async def test_without_a_choice_nothing_is_said(server, listed):
    server.assistants = listed
    assert await piped(server, "Hello") == "New chat · chat c1\nYou said: Hello\n"


async def test_a_new_chat_has_the_one_that_was_named_and_shows_its_starters(server):
    shown = await piped(server, "Hello", assistant="tea")
    assert [data["assistant"] for data in server.sent("create_chat")] == ["tea"]
    assert "New chat · chat c1 · Tea house\nYou may ask: Which tea? · How hot?\nYou said: Hello\n" in shown


async def test_without_a_name_no_frame_names_one(server):
    await piped(server, "/new")
    assert [data.keys() for data in server.sent("create_chat")] == [{"clientChatId"}] * 2


async def test_new_takes_a_name_and_otherwise_that_of_the_command(server):
    await piped(server, "/new", "/new default", assistant="tea")
    assert [data["assistant"] for data in server.sent("create_chat")] == ["tea", "tea", "default"]


async def test_a_joined_chat_shows_whose_it_is(server):
    server.named = "gone"
    assert "Talk · chat c1 · gone\n" in await piped(server, "Hello", chat_id="c1")


async def test_a_reconnection_does_not_show_them_again(server):
    async with at_a_terminal(server) as terminal:
        await terminal.shows("chat c1")
        server.cut()
        await terminal.shows("Reconnected.")
    assert terminal.shown.count("Assistants: ") == 1


async def test_an_unknown_one_ends_the_client_with_the_next_step(server):
    server.refuses = {"create_chat": "unknown_assistant"}
    with pytest.raises(ClientError, match="Choose another one with --assistant, or none"):
        await piped(server, "Hello", assistant="coffee")


async def test_an_unknown_one_of_a_new_chat_is_said_and_the_client_goes_on(server):
    async with at_a_terminal(server) as terminal:
        await terminal.shows("chat c1")
        server.refuses_once = {"create_chat": "unknown_assistant"}
        terminal.type("/new coffee", "Hello")
        await terminal.shows("No create_chat (unknown_assistant)")
        await terminal.shows("You said: Hello")


@pytest.mark.parametrize("listed", [None, 5, "tea", {}, [5, None, "tea"], []])
def test_a_greeting_without_a_list_has_none(listed):
    assert Frame("connected", {"assistants": listed}).assistants() == []


def test_a_list_with_other_fields_is_read():
    content = {"assistants": [{**TEA, "starters": ["a", 5, None], "colour": "green"}, {"id": "x", "title": "X"}]}
    assert Frame("connected", content).assistants() == [
        ListedAssistant("tea", "Tea house", ("a",)),
        ListedAssistant("x", "X"),
    ]


def test_an_assistant_without_an_id_breaks_the_protocol():
    with pytest.raises(FrameError, match="connected without id"):
        Frame("connected", {"assistants": [{"title": "Tea"}]}).assistants()


def test_it_is_an_option_of_the_command(monkeypatch):
    given = {}
    monkeypatch.setattr("parley.terminal.chat.run", lambda *_, **more: given.update(more) or 0)
    assert CliRunner().invoke(main, ["chat", "--assistant", "tea"]).exit_code == 0
    assert given["assistant"] == "tea"
