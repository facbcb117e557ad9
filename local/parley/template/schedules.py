"""Schedule expressions: `rate(…)`, `cron(…)` and `at(…)`, and the next time that one names.

The fields and wildcards are those of the EventBridge user guide's page "Cron expressions reference", with those of the
Scheduler's guide ("Schedule types") for `at` and time zones.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

_FORM = re.compile(r"(rate|cron|at)\((.*)\)", re.DOTALL)
_NUMBER = re.compile(r"[0-9]{1,9}")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}
_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS = {"SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": 7}
_LAST_YEAR = 2199


class InvalidSchedule(ValueError):
    """An expression that AWS does not take. The text says why."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A schedule at regular intervals of so many seconds. It begins when it is started."""

    seconds: int

    def after(self, moment: float) -> float | None:
        """Return the next time after a moment, both in seconds since the epoch."""
        return moment + self.seconds


@dataclass(frozen=True, slots=True)
class Once:
    """A schedule for one moment, in seconds since the epoch."""

    moment: float

    def after(self, moment: float) -> float | None:
        """Return the moment if it is still to come, else None."""
        return self.moment if self.moment > moment else None


@dataclass(frozen=True, slots=True)
class Cron:
    """A schedule by the calendar of a time zone. `days` are those of one month; a month is given by year and number."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: tuple[int, ...]
    years: tuple[int, ...]
    day_of_month: str
    day_of_week: str
    zone: str = "UTC"

    def after(self, moment: float) -> float | None:
        """Return the next time after a moment, both in seconds since the epoch; None if there is none any more."""
        zone = ZoneInfo(self.zone)
        today = datetime.fromtimestamp(moment, zone).date()
        for day in self._days_from(today):
            times = (
                datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
                for hour in self.hours
                for minute in self.minutes
            )
            # A time that the clocks leave out when they go forward does not occur.
            real = (each.timestamp() for each in times if _exists(each))
            if due := min((each for each in real if each > moment), default=None):
                return due
        return None

    def _days_from(self, first: date) -> Iterator[date]:
        for year in self.years:
            for month in self.months:
                if (year, month) >= (first.year, first.month):
                    days = sorted(self._days_of(year, month))
                    yield from (day for day in (date(year, month, each) for each in days) if day >= first)

    def _days_of(self, year: int, month: int) -> set[int]:
        if self.day_of_week == "?":
            return _days_of_month(self.day_of_month, year, month)
        return _days_of_week(self.day_of_week, year, month)


Schedule = Rate | Cron | Once


def parse(expression: str, zone: str = "UTC", *, lenient: bool = False) -> Schedule:
    """Return a schedule. With `lenient` it is the Scheduler's, which also takes `rate(1 minutes)` and `at(…)`.

    Raises `InvalidSchedule`.
    """
    match = _FORM.fullmatch(expression.strip())
    if match is None:
        raise InvalidSchedule("it is neither rate(…) nor cron(…)")
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise InvalidSchedule(f"there is no time zone {zone}") from None
    if match[1] == "rate":
        return _rate(match[2], lenient)
    if match[1] == "cron":
        return _cron(match[2], zone)
    if not lenient:
        raise InvalidSchedule("only EventBridge Scheduler knows at(…)")
    try:
        return Once(datetime.fromisoformat(match[2].strip()).replace(tzinfo=ZoneInfo(zone)).timestamp())
    except ValueError:
        raise InvalidSchedule("at(…) needs a time such as 2030-01-31T23:59:00") from None


def _rate(text: str, lenient: bool) -> Rate:
    value, _, unit = text.strip().partition(" ")
    seconds = _SECONDS.get(unit.strip().removesuffix("s"))
    if not _NUMBER.fullmatch(value) or int(value) == 0 or seconds is None:
        raise InvalidSchedule("rate(…) needs a number above 0, and minutes, hours or days")
    if not lenient and unit.strip().endswith("s") == (value == "1"):
        raise InvalidSchedule("rate(…) has the singular for 1, and the plural otherwise")
    return Rate(int(value) * seconds)


def _cron(text: str, zone: str) -> Cron:
    fields = text.upper().split()
    if len(fields) != 6:
        raise InvalidSchedule(f"cron(…) has 6 fields, not {len(fields)}")
    minutes, hours, day_of_month, months, day_of_week, years = fields
    if (day_of_month == "?") == (day_of_week == "?"):
        raise InvalidSchedule("exactly one of day of month and day of week must be ?")
    found = Cron(
        minutes=_numbers(minutes, 0, 59),
        hours=_numbers(hours, 0, 23),
        months=_numbers(months, 1, 12, _MONTHS),
        years=_numbers(years, 1970, _LAST_YEAR),
        day_of_month=day_of_month,
        day_of_week=day_of_week,
        zone=zone,
    )
    # Any month will do: it shows whether the days can be read.
    found._days_of(2024, 2)
    return found


def _numbers(field: str, low: int, high: int, names: dict[str, int] | None = None) -> tuple[int, ...]:
    """Return the numbers of a field: values, ranges (also over the end, as FRI-MON), steps, and lists of these."""
    found: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        begin = low if first == "*" else _number(first, low, high, names)
        end = _number(last, low, high, names) if dash else high if slash or first == "*" else begin
        every = _number(step, 1, high, None) if slash else 1
        found |= set(_span(begin, end, low, high)[::every])
    return tuple(sorted(found))


def _span(begin: int, end: int, low: int, high: int) -> list[int]:
    return list(range(begin, end + 1)) if begin <= end else [*range(begin, high + 1), *range(low, end + 1)]


def _number(text: str, low: int, high: int, names: dict[str, int] | None) -> int:
    if names and text in names:
        return names[text]
    if not (_NUMBER.fullmatch(text) and low <= int(text) <= high):
        raise InvalidSchedule(f"{text[:100] or 'nothing'} is not from {low} to {high}")
    return int(text)


def _days_of_month(field: str, year: int, month: int) -> set[int]:
    last = calendar.monthrange(year, month)[1]
    found: set[int] = set()
    for part in field.split(","):
        if part == "L":
            found.add(last)
        elif part in ("LW", "WL"):
            found.add(_nearest_weekday(last, year, month))
        elif part.endswith("W"):
            found.add(_nearest_weekday(min(_number(part[:-1], 1, 31, None), last), year, month))
        else:
            found |= set(_numbers(part, 1, 31))
    return {day for day in found if day <= last}


def _nearest_weekday(day: int, year: int, month: int) -> int:
    """Return the day from Monday to Friday that is nearest to a day, in the same month."""
    near = (day, day - 1, day + 1, day - 2, day + 2)
    last = calendar.monthrange(year, month)[1]
    return next(each for each in near if 1 <= each <= last and date(year, month, each).weekday() < 5)


def _days_of_week(field: str, year: int, month: int) -> set[int]:
    last = calendar.monthrange(year, month)[1]
    number: Callable[[int], int] = lambda day: (date(year, month, day).weekday() + 1) % 7 + 1  # noqa: E731
    by_week = {each: [day for day in range(1, last + 1) if number(day) == each] for each in range(1, 8)}
    if "#" in field:
        # Only one expression may have it: the page says that "3#1,6#3" is not valid.
        day, _, which = field.partition("#")
        days = by_week[_number(day, 1, 7, _DAYS)]
        return set(days[(place := _number(which, 1, 5, None)) - 1 : place])
    found: set[int] = set()
    for part in field.split(","):
        if part == "L":
            found |= set(by_week[7])
        elif part.endswith("L"):
            found.add(by_week[_number(part[:-1], 1, 7, _DAYS)][-1])
        else:
            found |= {day for each in _numbers(part, 1, 7, _DAYS) for day in by_week[each]}
    return found


def _exists(moment: datetime) -> bool:
    return moment.astimezone(UTC).astimezone(moment.tzinfo).replace(tzinfo=None) == moment.replace(tzinfo=None)


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def as_text(moment: float) -> str:
    """Return a moment in EventBridge's form, as `2026-01-31T23:59:00Z`."""
    return (EPOCH + timedelta(seconds=int(moment))).strftime("%Y-%m-%dT%H:%M:%SZ")
