"""Schedule expressions, and the next time of each."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley.template.schedules import InvalidSchedule, as_text, parse

START = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)  # a Saturday


def times(expression, count=3, zone="UTC", start=START, **how):
    schedule, moment, found = parse(expression, zone, **how), start.timestamp(), []
    for _ in range(count):
        moment = schedule.after(moment)
        if moment is None:
            break
        found.append(as_text(moment)[:16])
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rate(1 minute)", ["2026-01-31T12:01", "2026-01-31T12:02"]),
        ("rate(5 minutes)", ["2026-01-31T12:05", "2026-01-31T12:10"]),
        ("rate(1 hour)", ["2026-01-31T13:00", "2026-01-31T14:00"]),
        ("rate(7 days)", ["2026-02-07T12:00", "2026-02-14T12:00"]),
        # The examples of the page "Cron expressions reference".
        ("cron(0 10 * * ? *)", ["2026-02-01T10:00", "2026-02-02T10:00"]),
        ("cron(15 12 * * ? *)", ["2026-01-31T12:15", "2026-02-01T12:15"]),
        ("cron(0 18 ? * MON-FRI *)", ["2026-02-02T18:00", "2026-02-03T18:00"]),
        ("cron(0 8 1 * ? *)", ["2026-02-01T08:00", "2026-03-01T08:00"]),
        ("cron(0/15 * * * ? *)", ["2026-01-31T12:15", "2026-01-31T12:30"]),
        ("cron(0/10 * ? * MON-FRI *)", ["2026-02-02T00:00", "2026-02-02T00:10"]),
        ("cron(0/5 8-17 ? * MON-FRI *)", ["2026-02-02T08:00", "2026-02-02T08:05"]),
        ("cron(0/30 20-2 ? * MON-FRI *)", ["2026-02-02T00:00", "2026-02-02T00:30"]),
        # Each wildcard.
        ("cron(1/10 12 * * ? *)", ["2026-01-31T12:01", "2026-01-31T12:11"]),
        ("cron(5,35 12 * * ? *)", ["2026-01-31T12:05", "2026-01-31T12:35"]),
        ("cron(0 0 L * ? *)", ["2026-02-28T00:00", "2026-03-31T00:00"]),
        ("cron(0 0 31 * ? *)", ["2026-03-31T00:00", "2026-05-31T00:00"]),
        ("cron(0 0 1W * ? *)", ["2026-02-02T00:00", "2026-03-02T00:00"]),
        ("cron(0 0 15W FEB,MAR ? *)", ["2026-02-16T00:00", "2026-03-16T00:00"]),
        ("cron(0 0 LW * ? *)", ["2026-02-27T00:00", "2026-03-31T00:00"]),
        ("cron(0 0 ? * 3#2 *)", ["2026-02-10T00:00", "2026-03-10T00:00"]),
        ("cron(0 0 ? * 6L *)", ["2026-02-27T00:00", "2026-03-27T00:00"]),
        ("cron(0 0 ? * L *)", ["2026-02-07T00:00", "2026-02-14T00:00"]),
        ("cron(0 0 ? * SUN#5 *)", ["2026-03-29T00:00", "2026-05-31T00:00"]),
        ("cron(0 0 ? NOV-FEB SUN *)", ["2026-02-01T00:00", "2026-02-08T00:00"]),
        ("cron(0 0 ? * FRI-MON *)", ["2026-02-01T00:00", "2026-02-02T00:00"]),
        ("cron(0 0 29 FEB ? *)", ["2028-02-29T00:00", "2032-02-29T00:00"]),
        ("cron(0 0 1 1 ? 2027-2028)", ["2027-01-01T00:00", "2028-01-01T00:00"]),
        ("cron(0 0 1 1 ? 2027)", ["2027-01-01T00:00"]),
        ("cron(0 0 1 1 ? 2020)", []),
        ("cron(0 0 30 2 ? *)", []),
    ],
)
def test_the_next_times(expression, expected):
    assert times(expression, count=2) == expected


@pytest.mark.parametrize(
    ("expression", "zone", "start", "expected"),
    [
        ("cron(0 9 * * ? *)", "Europe/Berlin", START, ["2026-02-01T08:00", "2026-02-02T08:00"]),
        # At 2:00 on 29 March the clocks go to 3:00, so 2:30 does not occur.
        ("cron(30 2 * * ? *)", "Europe/Berlin", datetime(2026, 3, 28, 12, tzinfo=UTC), ["2026-03-30T00:30"]),
        ("at(2026-03-01T10:00:00)", "America/New_York", START, ["2026-03-01T15:00"]),
        ("at(2026-01-01T00:00:00)", "UTC", START, []),
        ("rate(1 minutes)", "UTC", START, ["2026-01-31T12:01", "2026-01-31T12:02"]),
    ],
)
def test_the_scheduler_has_time_zones_and_single_moments(expression, zone, start, expected):
    assert times(expression, len(expected) or 1, zone, start, lenient=True) == expected


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("every day", "neither rate"),
        ("rate(5 minute)", "singular"),
        ("rate(1 minutes)", "singular"),
        ("rate(0 minutes)", "above 0"),
        ("rate(-1 minutes)", "above 0"),
        ("rate(1.5 hours)", "above 0"),
        ("rate(5 weeks)", "above 0"),
        ("rate()", "above 0"),
        (f"rate({'9' * 5000} minutes)", "above 0"),
        ("at(2026-03-01T10:00:00)", "only EventBridge Scheduler"),
        ("cron(0 10 * * *)", "6 fields, not 5"),
        ("cron(0 10 * * * *)", "exactly one"),
        ("cron(0 10 ? * ? *)", "exactly one"),
        ("cron(60 10 * * ? *)", "60 is not from 0 to 59"),
        (f"cron({'9' * 5000} 10 * * ? *)", "is not from 0 to 59"),
        ("cron(0 10 0 * ? *)", "0 is not from 1 to 31"),
        ("cron(0 10 * FOO ? *)", "FOO is not from 1 to 12"),
        ("cron(0 10 ? * 3#6 *)", "6 is not from 1 to 5"),
        ("cron(0 10 ? * 3#1,6#3 *)", "1,6#3 is not"),
        ("cron(*/0 10 * * ? *)", "0 is not from 1 to 59"),
        ("cron(, 10 * * ? *)", "nothing is not from"),
    ],
)
def test_what_aws_refuses_is_refused(expression, why):
    with pytest.raises(InvalidSchedule, match=why):
        parse(expression)


@pytest.mark.parametrize(("expression", "zone"), [("rate(1 hour)", "Nowhere/Else"), ("at(tomorrow)", "UTC")])
def test_what_the_scheduler_refuses_is_refused(expression, zone):
    with pytest.raises(InvalidSchedule):
        parse(expression, zone, lenient=True)


FIELD = st.sampled_from(["*", "0", "1", "5/7", "1-9", "3,8", "?", "L", "5W", "2#1", "3L", "99", "", "A-B", "/", "-"])


@given(st.lists(FIELD, min_size=6, max_size=6))
def test_any_fields_are_a_schedule_with_rising_times_or_refused(fields):
    try:
        schedule = parse(f"cron({' '.join(fields)})")
    except InvalidSchedule:
        return
    first = schedule.after(START.timestamp())
    assert first is None or START.timestamp() < first < (schedule.after(first) or float("inf"))
