"""The pace of a reply, by the number of its frames and its age."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handlers.chat.settings import Pace, Settings

DEFAULT = Settings.of({}).relay_pace
SECONDS = st.floats(0, 10)
ANY = st.builds(Pace, SECONDS, SECONDS, SECONDS, st.integers(0, 20))


@pytest.mark.parametrize(
    ("frames", "age", "pace"),
    [(0, 9, 0), (9, 9, 0), (10, 0, 0.05), (10, 2, 0.075), (60, 4, 0.1), (900, 400, 0.1)],
)
def test_ten_frames_have_none_and_then_it_grows_for_four_seconds(frames, age, pace):
    assert DEFAULT.after(frames, age) == pytest.approx(pace)


def test_each_part_of_it_is_a_setting():
    given = {"RELAY_PACE_MS": "20", "RELAY_LATE_PACE_MS": "200", "RELAY_LATE_SECONDS": "6", "RELAY_UNPACED_FRAMES": "3"}
    assert Settings.of(given).relay_pace == Pace(0.02, 0.2, 6, 3)


def test_one_that_is_to_shrink_stays_as_it_was():
    assert Pace(0.3, 0.1, 4).after(50, 2) == Pace(0.3, 0.1, 4).after(50, 9) == 0.3


@example(Pace(1.3055877754207645, 5.45059343882473, 0.0, unpaced_frames=0), 1, 0.0, 0.0)  # rounds up
@given(ANY, st.integers(0, 100), SECONDS, SECONDS)
@example(Pace(0.03, 0.4272767192862848, 0.0, 0), 1, 0.0, 0.0)  # 0.03 + (0.427… - 0.03) is more than 0.427…
def test_the_first_text_never_waits_and_an_older_reply_never_hurries(pace, frames, age, more):
    assert pace.after(0, age) == 0
    assert 0 <= pace.after(frames, age) <= pace.after(frames, age + more) <= max(pace.first, pace.last)


@given(ANY, st.integers(0, 100), SECONDS)
def test_without_a_first_pace_there_is_none(pace, frames, age):
    assert Pace(0.0, pace.last, pace.grown_seconds, pace.unpaced_frames).after(frames, age) == 0
