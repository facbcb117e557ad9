"""A reply as far as it has arrived: the rule for pieces, attempts and parts."""

from parley.client.frames import Frame
from parley.client.reply import Part, Parts, Reply, ReplyUpdate, utf16_length


class TestReply:
    def test_a_piece_that_continues_the_text_is_appended(self):
        reply = Reply("r1", 1)

        assert reply.take(1, 0, "Hello") == ReplyUpdate("Hello")
        assert reply.take(1, 5, ", world") == ReplyUpdate(", world")
        assert (reply.text, reply.length) == ("Hello, world", 12)

    def test_the_overlap_of_a_piece_is_cut(self):
        reply = Reply("r1", 1)
        reply.take(1, 0, "Hello")

        assert reply.take(1, 3, "lo, world") == ReplyUpdate(", world")
        assert reply.take(1, 0, "Hello") == ReplyUpdate("")
        assert reply.text == "Hello, world"

    def test_offsets_count_utf_16_code_units(self):
        reply = Reply("r1", 1)
        reply.take(1, 0, "🙂")

        assert reply.length == 2
        assert reply.take(1, 2, "!") == ReplyUpdate("!")
        assert reply.take(1, 0, "🙂!?") == ReplyUpdate("?")
        assert reply.text == "🙂!?"

    def test_a_piece_after_a_gap_is_not_taken(self):
        reply = Reply("r1", 1)
        reply.take(1, 0, "Hello")

        assert reply.take(1, 6, "world") == ReplyUpdate(missing=True)
        assert reply.text == "Hello"

    def test_a_newer_attempt_starts_over(self):
        reply = Reply("r1", 1)
        reply.take(1, 0, "Hello")

        assert reply.take(2, 0, "Good day") == ReplyUpdate("Good day", restarted=True)
        assert reply.text == "Good day"

    def test_an_older_attempt_is_ignored(self):
        reply = Reply("r1", 2)
        reply.take(2, 0, "Good day")

        assert reply.take(1, 8, "!") == ReplyUpdate("")
        assert reply.text == "Good day"


def part(index=0, offset=0, **fields):
    return Frame("assistant_message_part", {"index": index, "offset": offset, "part": fields})


class TestParts:
    def test_the_newest_state_of_an_index_counts_and_one_that_is_known_says_nothing(self):
        parts = Parts()
        call = {"kind": "tool_call", "callId": "c1", "name": "weather"}
        running, done = (Part.parse(call | {"state": state}, 1, 4) for state in ("running", "done"))

        assert parts.take(part(1, 4, **call, state="running")) == (running, False)
        assert parts.take(part(1, 4, **call, state="running")) == (None, False)
        assert parts.take(part(1, 4, **call, state="done")) == (done, False)
        assert (parts.newest, len(parts)) == ((done,), 1)

    def test_the_pieces_of_a_text_follow_the_rule(self):
        parts = Parts()
        parts.take(part(kind="reasoning", text="Let me ", textOffset=0))

        assert parts.take(part(kind="reasoning", text="me think", textOffset=4)) == (
            Part(0, "reasoning", text="Let me think"),
            False,
        )
        assert parts.take(part(kind="reasoning", text="!", textOffset=20)) == (None, True)
        assert parts.newest[0].text == "Let me think"

    def test_a_newer_attempt_has_none_yet(self):
        reply = Reply("r1", 1)
        reply.parts.take(part(kind="source", url="https://tea.example"))
        reply.take(2, 0, "")
        assert reply.parts.newest == ()


def test_lengths_count_utf_16_code_units():
    assert utf16_length("да 🙂") == 5
