import pytest
from parley.client.events import Cancel, Resume, Send
from parley.client.frames import Frame, FrameError
from parley.terminal.actions import End, Line, Stream, Style
from parley.terminal.screen import sanitize

from tests.support.server_frames import acknowledged, complete, frame, joined, message, start, token
from tests.support.transcript import Transcript


def asked(transcript: Transcript) -> None:
    transcript.ask(frame("message", "q1", message="Hi", clientMessageId="m1"), "user_message")


@pytest.fixture
def transcript() -> Transcript:
    transcript = Transcript()
    transcript.take(frame("chat_created", chatId="c1", title="Talk"))
    return transcript


class TestATurn:
    def test_it_is_streamed_and_ends(self, transcript):
        asked(transcript)

        assert transcript.take(acknowledged("m1")) == []
        assert transcript.take(start()) == []
        assert transcript.take(token("Hel", 0)) == [Stream("Hel")]
        assert transcript.take(token("lo", 3)) == [Stream("lo")]
        assert transcript.take(complete("Hello")) == [End()]

    def test_it_is_busy_from_the_question_to_the_end(self, transcript):
        assert not transcript.busy
        asked(transcript)
        for step in (acknowledged("m1"), start(), token("Hello", 0)):
            assert transcript.busy
            transcript.take(step)
        assert transcript.busy
        transcript.take(complete("Hello"))
        assert not transcript.busy

    def test_missed_text_is_taken_from_the_complete_frame(self, transcript):
        transcript.take(start())
        transcript.take(token("Hel", 0))

        assert transcript.take(complete("Hello")) == [Stream("lo"), End()]

    def test_a_reply_that_was_never_started_here_is_shown_whole(self, transcript):
        assert transcript.take(complete("Hello")) == [Stream("Hello"), End()]

    def test_a_reply_too_large_to_be_sent_again_just_ends(self, transcript):
        transcript.take(start())
        transcript.take(token("Hello", 0))

        assert transcript.take(complete(None, length=5)) == [End()]

    def test_a_reply_too_large_to_be_sent_again_is_resumed_where_a_piece_got_lost(self, transcript):
        transcript.take(start())
        transcript.take(token("Hel", 0))

        assert transcript.take(complete(None, length=5)) == [Resume()]
        assert transcript.busy
        large = {"messageId": "r1", "role": "assistant", "content": None}
        assert transcript.take(frame("chat_joined", chatId="c1", title="Talk", messages=[large])) == []
        assert transcript.take(start(content="lo", offset=3)) == [Stream("lo")]
        assert transcript.take(complete(None, length=5)) == [End()]
        assert not transcript.busy

    def test_a_reply_that_is_announced_from_its_beginning_is_shown_once(self, transcript):
        transcript.take(start())
        transcript.take(token("Hel", 0))

        assert transcript.take(start(content="Hello")) == [Stream("lo")]
        assert transcript.take(complete("Hello")) == [End()]
        assert [transcript.take(again) for again in (start(content="Hello"), complete("Hello"))] == [[], []]

    def test_a_notice_is_shown(self, transcript):
        assert transcript.take(frame("notice", message="Down at noon")) == [Line("Notice: Down at noon")]

    def test_an_error_of_the_gateway_is_shown(self, transcript):
        text = '{"message": "Forbidden", "connectionId":"c=", "requestId":"e="}'
        line = Line("The gateway reports: Forbidden. See the server's log.", Style.ERROR)
        assert transcript.take(Frame.parse(text)) == [line]
        assert not transcript.busy

    def test_a_message_is_held_after_an_error_of_the_gateway_unless_it_is_acknowledged(self, transcript):
        asked(transcript)
        sent = transcript.request.frame
        transcript.take(Frame.parse('{"message": "Endpoint request timed out"}'))
        assert transcript.retry() == [Send(sent)]
        transcript.take(Frame.parse('{"message": "Endpoint request timed out"}'))
        transcript.take(acknowledged(sent.text("clientMessageId")))
        assert transcript.take(complete("Hello"))[-1] == End()
        assert transcript.retry() == []

    def test_a_repeated_complete_shows_nothing(self, transcript):
        transcript.take(complete("Hello"))

        assert transcript.take(complete("Hello")) == []

    def test_an_early_end_is_named(self, transcript):
        assert transcript.take(complete("Hel", reason="cancelled"))[-1] == Line("The reply ended early: cancelled.")

    def test_a_gap_asks_for_what_is_missing_once(self, transcript):
        transcript.take(start())
        transcript.take(token("Hel", 0))

        assert transcript.take(token("world", 7)) == [Resume()]
        assert transcript.take(token("!", 12)) == []
        assert transcript.take(start(offset=3, content="lo, world!")) == [Stream("lo, world!")]

    def test_a_newer_attempt_replaces_what_was_shown(self, transcript):
        transcript.take(start())
        transcript.take(token("Hel", 0))

        assert transcript.take(start(attempt=2)) == [Line("The reply starts over.")]
        assert transcript.take(token("lo", 3)) == []
        assert transcript.take(token("Good day", 0, attempt=2)) == [Stream("Good day")]

    def test_a_reply_without_an_end_is_shown_whole_after_a_newer_one_has_begun(self, transcript):
        transcript.take(start())
        transcript.take(token("Hel", 0))

        assert transcript.take(start("r2")) == [End(), Resume()]
        page = [message("r1", "assistant", "Hello")]
        running = {"messageId": "r2", "attempt": 1}
        joined = frame("chat_joined", chatId="c1", title="Talk", messages=page, reply=running)
        assert transcript.take(joined) == [Line("Hello", Style.REPLY)]
        assert transcript.reply.message_id == "r2"

    def test_a_regenerated_reply_is_announced(self, transcript):
        transcript.take(complete("Hello"))

        assert transcript.take(start("r2", replaces="r1")) == [Line("The reply is written again.")]

    def test_another_chat_s_frames_are_not_shown(self, transcript):
        transcript.take(joined(chat_id="c2"))

        assert transcript.take(start()) == []
        assert transcript.take(token("Hello", 0)) == []
        assert transcript.take(complete("Hello")) == []


def refused(code: str, request_id: str = "q1", **more: object) -> Frame:
    return frame("error", request_id, message="No", code=code, **more)


class TestStopping:
    def test_a_running_reply_is_cancelled_by_its_id(self, transcript):
        asked(transcript)
        transcript.take(acknowledged("m1"))
        transcript.take(start())

        assert transcript.stop() == [Cancel("r1")]
        assert transcript.stopping
        transcript.take(complete("", reason="cancelled"))
        assert not transcript.stopping

    def test_a_reply_that_has_not_begun_is_cancelled_without_an_id(self, transcript):
        asked(transcript)
        transcript.take(acknowledged("m1"))

        assert transcript.stop() == [Cancel(None)]

    def test_a_message_on_its_way_is_stopped_when_it_is_acknowledged(self, transcript):
        asked(transcript)

        assert transcript.stop() == []
        assert transcript.take(acknowledged("m1")) == [Cancel(None)]
        assert transcript.take(start()) == []

    def test_a_message_that_is_refused_takes_the_wish_along(self, transcript):
        asked(transcript)
        transcript.stop()
        transcript.take(refused("rate_limited"))

        assert not transcript.stopping

    def test_a_regenerated_reply_is_cancelled_when_it_begins(self, transcript):
        transcript.ask(frame("regenerate", "q1"), "assistant_message_start")

        assert transcript.stop() == []
        assert transcript.take(start("r2", replaces="r1"))[-1] == Cancel("r2")

    def test_without_a_running_reply_nothing_can_be_stopped(self, transcript):
        assert not transcript.replying
        assert transcript.stop() == []
        assert not transcript.stopping

    def test_after_a_loss_it_is_asked_for_when_the_client_is_back(self, transcript):
        transcript.take(start())
        transcript.stop()
        transcript.disconnected()

        assert Cancel("r1") not in transcript.take(joined(reply={"messageId": "r1", "attempt": 1}))
        assert transcript.rejoined() == [Cancel("r1")]

    def test_the_next_message_is_not_stopped(self, transcript):
        transcript.ask(frame("regenerate", "q1"), "assistant_message_start")
        transcript.stop()
        transcript.disconnected()
        transcript.rejoined()
        asked(transcript)

        assert transcript.take(acknowledged("m1")) == []


class TestABusyChat:
    def test_a_message_is_held_and_sent_again_after_the_reply(self, transcript):
        transcript.take(start())
        asked(transcript)
        sent = transcript.request.frame

        assert transcript.take(refused("busy")) == [
            Line("A reply is running. Your message will be sent when it is complete.")
        ]
        assert transcript.retry() == []
        assert transcript.take(complete("Hello")) == [Stream("Hello"), End(), Send(sent)]
        assert transcript.take(acknowledged("m1")) == []
        assert transcript.busy

    def test_it_is_tried_again_where_no_reply_is_known_to_run(self, transcript):
        asked(transcript)
        sent = transcript.request.frame
        transcript.take(refused("busy"))

        assert transcript.retry() == [Send(sent)]
        assert transcript.retry() == []
        assert transcript.take(refused("busy")) == []

    def test_it_survives_a_loss(self, transcript):
        asked(transcript)
        sent = transcript.request.frame
        transcript.take(refused("busy"))
        transcript.disconnected()

        assert transcript.request.frame == sent

    def test_a_stop_meant_for_it_does_not_end_somebody_else_s_reply(self, transcript):
        asked(transcript)
        transcript.stop()

        assert [action for action in transcript.take(refused("busy")) if isinstance(action, Cancel)] == []

    def test_stopping_then_ends_the_reply_that_it_waits_for(self, transcript):
        asked(transcript)
        transcript.take(refused("busy"))

        assert transcript.stop() == [Cancel(None)]


class TestErrors:
    def test_a_refused_message_is_shown_in_red_and_awaited_no_longer(self, transcript):
        asked(transcript)

        refused = frame("error", "q1", message="Too fast", code="rate_limited", clientMessageId="m1")
        assert transcript.take(refused) == [Line("Too fast (rate_limited)", Style.ERROR)]
        assert not transcript.busy

    def test_an_error_that_names_nothing_settles_what_is_awaited(self, transcript):
        asked(transcript)
        transcript.take(frame("error", message="Invalid message format", code="invalid_format"))

        assert not transcript.busy

    def test_an_error_about_something_else_settles_nothing(self, transcript):
        asked(transcript)
        transcript.take(frame("error", "q0", message="Busy", code="busy"))

        assert transcript.busy

    @pytest.mark.parametrize(
        "broken",
        [frame("assistant_message_token"), frame("chat_joined", chatId="c1", title="T"), frame("user_message")],
    )
    def test_a_frame_without_its_fields_is_refused(self, transcript, broken):
        transcript.take(start())
        with pytest.raises(FrameError):
            transcript.take(broken)

    def test_an_unknown_kind_is_ignored(self, transcript):
        assert transcript.take(frame("news", text="!")) == []

    @pytest.mark.parametrize("raw", ["", "[]", "{}", '{"type": 1}', "[" * 100_000])
    def test_text_that_is_no_frame_is_refused(self, raw):
        with pytest.raises(FrameError):
            Frame.parse(raw)


class TestOtherDevices:
    def test_their_messages_are_shown(self, transcript):
        assert transcript.take(acknowledged("other")) == [Line("› Hi", Style.USER)]
        assert transcript.take(acknowledged(None, "u2")) == [Line("› Hi", Style.USER)]

    def test_a_message_acknowledged_again_is_not_shown_twice(self, transcript):
        transcript.take(acknowledged("other"))

        assert transcript.take(acknowledged("other", duplicate=True)) == []
        assert transcript.take(acknowledged("older", "u0", duplicate=True)) == []

    def test_a_new_title_is_shown_for_this_chat_only(self, transcript):
        assert transcript.take(frame("chat_updated", chatId="c1", title="Greetings")) == [Line("Title: Greetings")]
        assert transcript.take(frame("chat_updated", chatId="c2", title="Other")) == []

    def test_a_deleted_chat_is_waited_for_no_longer(self, transcript):
        asked(transcript)
        transcript.take(frame("chat_deleted", chatId="c1"))

        assert not transcript.busy


class TestHistory:
    def test_joining_a_chat_shows_its_messages(self):
        transcript = Transcript()

        assert transcript.take(joined(message("u1", "user", "Hi"), message("r1", "assistant", "Hello"))) == [
            Line("Talk · chat c1"),
            Line("› Hi", Style.USER),
            Line("Hello", Style.REPLY),
        ]
        assert transcript.oldest == "u1"

    def test_an_earlier_page_moves_the_oldest_back(self):
        transcript = Transcript()
        transcript.take(joined(message("u2", "user", "Again")))
        transcript.ask(frame("load_history", "q1", before="u2"), "history")

        page = frame("history", "q1", chatId="c1", messages=[message("u1", "user", "Hi")], hasMore=False)
        assert transcript.take(page) == [Line("› Hi", Style.USER)]
        assert transcript.oldest == "u1"
        assert not transcript.busy

    def test_the_end_of_history_is_said(self, transcript):
        page = frame("history", chatId="c1", messages=[], hasMore=False)

        assert transcript.take(page) == [Line("There are no earlier messages.")]


class TestAfterALoss:
    def test_only_what_was_missed_is_shown(self, transcript):
        asked(transcript)
        transcript.take(acknowledged("m1"))
        transcript.take(start())
        transcript.take(token("Hel", 0))
        transcript.disconnected()

        whole = joined(message("u1", "user", "Hi"), message("r1", "assistant", "Hello"))
        assert transcript.take(whole) == [Stream("lo"), End()]
        assert not transcript.busy

    def test_a_running_reply_goes_on_where_it_was(self, transcript):
        asked(transcript)
        transcript.take(acknowledged("m1"))
        transcript.take(start())
        transcript.take(token("Hel", 0))
        transcript.disconnected()

        running = joined(message("u1", "user", "Hi"), reply={"messageId": "r1", "attempt": 1})
        assert transcript.take(running) == []
        assert transcript.take(start(offset=3, content="lo")) == [Stream("lo")]
        assert transcript.busy

    def test_a_reply_that_the_server_does_not_resume_is_completed_at_its_end(self, transcript):
        asked(transcript)
        transcript.take(acknowledged("m1"))
        transcript.take(start())
        transcript.take(token("Hel", 0))
        transcript.disconnected()
        transcript.take(joined(message("u1", "user", "Hi")))

        assert transcript.take(complete("Hello")) == [Stream("lo"), End()]

    def test_a_reply_that_was_replaced_meanwhile_is_dropped(self, transcript):
        transcript.take(start())
        transcript.take(token("Hel", 0))
        transcript.disconnected()
        transcript.take(joined(message("u1", "user", "Hi"), message("r2", "assistant", "Good day")))

        assert not transcript.busy

    def test_an_accepted_message_without_a_reply_yet_is_still_awaited(self, transcript):
        asked(transcript)
        transcript.take(acknowledged("m1"))
        transcript.disconnected()
        transcript.take(joined(message("u1", "user", "Hi")))

        assert transcript.busy

    def test_an_unacknowledged_message_is_kept_to_be_sent_again(self, transcript):
        asked(transcript)
        transcript.disconnected()
        transcript.take(joined())

        assert transcript.request is not None
        assert transcript.request.frame.data["clientMessageId"] == "m1"

    def test_a_message_answered_meanwhile_is_awaited_no_longer(self, transcript):
        asked(transcript)
        transcript.disconnected()
        transcript.take(joined(message("u1", "user", "Hi"), message("r1", "assistant", "Hello")))
        transcript.take(acknowledged("m1", duplicate=True))

        assert not transcript.busy

    def test_a_request_that_must_not_come_twice_is_dropped(self, transcript):
        transcript.ask(frame("regenerate", "q1"), "assistant_message_start")
        transcript.disconnected()

        assert not transcript.busy


class TestTerminal:
    def test_no_escape_sequence_reaches_it(self):
        assert sanitize("\x1b]0;owned\x07\x1b[2J\x9b31mred\r\x08\x7f\x00") == "]0;owned[2J31mred"

    def test_text_stays_as_it_is(self):
        assert sanitize("Привет,\n\tмир 🙂‍↔️") == "Привет,\n\tмир 🙂‍↔️"

    def test_lone_surrogates_which_no_terminal_can_show_go(self):
        assert sanitize("a\ud83db") == "ab"
