"""The line editor of the terminal client, in terminals of several widths, and the rows of a reply above it."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley.terminal.rows import rows
from prompt_toolkit.utils import get_cwidth

from tests.support.chat_server import stored
from tests.support.terminal import a_process, until

pytestmark = pytest.mark.full

LEFT, UP, START, END = "\x1b[D", "\x1b[A", "\x01", "\x05"
PASTED = "\x1b[200~{}\x1b[201~"


@pytest.fixture(params=[20, 40, 120])
async def process(server, request):
    async with a_process(server, term="xterm-256color", columns=request.param) as process:
        await process.displays("New chat · chat c1", "›")
        yield process


class TestKeys:
    async def test_arrow_keys_correct_a_line(self, server, process):
        process.press(f"Hllo{LEFT * 3}e{START}O {END}!\r")

        await until(lambda: server.sent("message"))
        assert [data["message"] for data in server.sent("message")] == ["O Hello!"]

    async def test_the_line_before_comes_back(self, server, process):
        process.press("One\r")
        await process.displays("› One", "You said: One", "›")
        process.press(f"{UP} more\r")
        await process.displays("› One more", "You said: One more", "›")

    async def test_a_pasted_text_of_several_lines_is_one_message(self, server, process):
        process.press(PASTED.format("one\ntwo") + "\r")

        await until(lambda: server.sent("message"))
        assert [data["message"] for data in server.sent("message")] == ["one\ntwo"]

    async def test_wide_characters_are_erased_whole(self, server, process):
        process.press("漢字🙂\x7f\x7f語\r")

        await until(lambda: server.sent("message"))
        assert [data["message"] for data in server.sent("message")] == ["漢語"]

    async def test_an_empty_line_is_nothing(self, server, process):
        process.press("\r  \rHello\r")
        await process.displays("New chat · chat c1", "› Hello", "You said: Hello", "›")

    async def test_the_terminal_is_as_before_at_the_end(self, server, process):
        process.press("half a line\x03")

        assert await process.ends() == 0
        assert process.modes() == process.modes_before
        assert process.display == ["New chat · chat c1"]


class TestTheConversation:
    async def test_what_is_being_typed_stays_below_a_reply(self, server, process):
        server.pauses_reply_at = 8
        process.press("Hello\r")
        await process.displays("› Hello", "You said", "›")
        process.press("Nex")
        await process.displays("You said", "› Nex")
        await server.send("notice", message="Tea is ready")
        await process.displays("You said", "Notice: Tea is ready", "› Nex")
        process.press("\x7f")
        await process.displays("Notice: Tea is ready", "› Ne")

    async def test_a_line_waits_for_the_end_of_the_reply_and_stop_does_not(self, server, process):
        server.pauses_reply_at = 4
        process.press("Hello\r")
        await process.displays("You", "›")
        server.pauses_reply_at = None
        process.press("Next\r/stop\r")
        ended = rows("The reply ended early: cancelled.", process.screen.columns)
        await process.displays(*ended, "You said: Next", "›")

        assert [data["message"] for data in server.sent("message")] == ["Hello", "Next"]

    async def test_a_reply_is_broken_between_words(self, server, process):
        text = "The quick brown fox jumps over the lazy dog, and over 漢字 too."
        await server.send("user_message", chatId="c1", **stored("u9", "user", "From the phone"))
        await server.reply("r9", text)
        await process.displays(*rows(text, process.screen.columns), "›")

    async def test_rows_are_as_wide_as_the_terminal_has_become(self, server, process):
        process.resize(30)
        text = "The quick brown fox jumps over the lazy dog, and then over another one."
        process.press("x\r")
        await process.displays("› x", "You said: x", "›")
        await server.reply("r9", text)
        await process.displays(*rows(text, 30), "›")

    async def test_no_escape_sequence_of_the_server_reaches_the_terminal(self, server, process):
        await server.send("notice", message="a\x1b[2Jb\x9b2Jc")
        await process.displays("New chat · chat c1", "Notice: a[2Jb2Jc", "›")


TEXTS = st.text(st.sampled_from("ab 漢🙂\u0301\n\t-") | st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]))


class TestRows:
    @given(TEXTS, st.integers(2, 30))
    def test_none_is_wider_than_the_terminal(self, text, columns):
        assert all(get_cwidth(row) <= columns for row in rows(text, columns))

    @given(TEXTS, st.integers(1, 30))
    def test_nothing_is_lost_but_spaces_between_rows(self, text, columns):
        whole = "".join(rows(text, columns))
        assert whole.replace(" ", "") == text.replace("\n", "").replace("\t", "").replace(" ", "")

    @given(TEXTS, st.integers(1, 30), st.lists(st.integers(1, 9), min_size=1))
    def test_a_text_in_pieces_has_the_rows_of_the_whole(self, text, columns, sizes):
        found, last, rest = [], "", text
        for size in sizes * len(text):
            piece, rest = rest[:size], rest[size:]
            *complete, last = rows(last + piece, columns)
            found += complete
        assert [*found, last] == rows(text, columns)

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("", [""]),
            ("12345678", ["12345678"]),
            ("123456789", ["12345678", "9"]),
            ("1234 678 012", ["1234 678", "012"]),
            ("1234 67890", ["1234", "67890"]),
            ("a\n\nb\n", ["a", "", "b", ""]),
            ("    indented", ["    inde", "nted"]),
            ("漢字漢字漢", ["漢字漢字", "漢"]),
            ("\tx", ["    x"]),
        ],
    )
    def test_they_break_between_words(self, text, found):
        assert rows(text, 8) == found


def test_nothing_but_a_conversation_in_a_terminal_loads_the_editor():
    """The emulator starts without it, and so does every other command."""
    code = "import sys, parley.cli.main, parley.cli.up, parley.terminal.chat as t; t.open_screen(t.Console())"
    printed = subprocess.run(
        [sys.executable, "-c", f"{code}; print('prompt_toolkit' in sys.modules)"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout == "False\n"
