"""Notices in the client: one that comes twice is shown once."""

from parley.client.frames import Frame
from parley.terminal.actions import Line

from tests.support.transcript import Transcript

SHOWN = [Line("Notice: Tea")]


def take(*ids):
    transcript = Transcript()
    return [transcript.take(Frame("notice", {"message": "Tea"} | ({"noticeId": each} if each else {}))) for each in ids]


def test_a_notice_whose_id_is_known_is_dropped():
    assert take("n1", "n1", "n2", "n1") == [SHOWN, [], SHOWN, []]


def test_notices_without_an_id_are_all_shown():
    assert take(None, None) == [SHOWN, SHOWN]
