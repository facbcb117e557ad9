"""The pytest plugin: a fixture `parley`, an emulator for a whole session, which each test finds as at its start.

pytest loads this module wherever the distribution is installed, so it imports nothing but pytest and a little more.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from parley.testing.emulator import Parley

_HELP = "the emulator's template (default: the one that `parley up` finds in the root folder)"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and the settings."""
    group = parser.getgroup("parley", "the emulator of API Gateway and Lambda (fixture `parley`)")
    group.addoption("--parley-template", metavar="FILE", help=_HELP)
    parser.addini("parley_template", _HELP)
    parser.addini("parley_options", "options of `parley up` for the fixture `parley`", type="args", default=[])


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        "parley(template=None, options=(), cold=False): the emulator of the fixture `parley`. The template is relative "
        "to the test's file; the options are added to `parley_options`; with `cold` functions start anew.",
    )


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The emulator that a test wants."""

    template: Path | None
    options: tuple[str, ...]
    folder: Path
    cold: bool = False


class _Emulators:
    """The emulators of a session, each started when the first test wants it."""

    def __init__(self) -> None:
        self._running: dict[tuple[Path | None, tuple[str, ...]], Parley] = {}
        self._failed: dict[tuple[Path | None, tuple[str, ...]], str] = {}

    def get(self, wanted: _Wanted) -> Parley:
        """Return the emulator, as it is at its start."""
        from parley.testing.emulator import Parley
        from parley.testing.process import NotStarted

        key = wanted.template, wanted.options
        if key in self._failed:
            pytest.fail(self._failed[key], pytrace=False)
        running = self._running.get(key)
        if running is not None and running.process.runs:
            self._reset(running, wanted.cold)
            return running
        try:
            self._running[key] = Parley.start(wanted.template, wanted.options, folder=wanted.folder)
        except NotStarted as error:
            self._failed[key] = f"The emulator did not start: {error}"
            pytest.fail(self._failed[key], pytrace=False)
        return self._running[key]

    def _reset(self, emulator: Parley, cold: bool) -> None:
        if emulator.reset(cold=cold)["running"]:
            warnings.warn(
                pytest.PytestWarning(
                    "A function of an earlier test still runs: with --functions inline nobody ends it."
                ),
                stacklevel=2,
            )

    def stop(self) -> None:
        """End all of them."""
        for emulator in self._running.values():
            emulator.process.stop()


@pytest.fixture(scope="session")
def _parley_emulators() -> Iterator[_Emulators]:
    emulators = _Emulators()
    yield emulators
    emulators.stop()


_SHOWN = pytest.StashKey[tuple["Parley", int]]()


@pytest.fixture
def parley(request: pytest.FixtureRequest, _parley_emulators: _Emulators) -> Iterator[Parley]:
    """The emulator of the session. Its tables, queues and connections are those of its start."""
    emulator = _parley_emulators.get(_wanted(request))
    request.node.stash[_SHOWN] = (emulator, emulator.process.printed)
    yield emulator
    emulator.disconnect()


def _wanted(request: pytest.FixtureRequest) -> _Wanted:
    config, marker = request.config, request.node.get_closest_marker("parley")
    given = dict(marker.kwargs) if marker else {}
    if (marker and marker.args) or not given.keys() <= {"template", "options", "cold"}:
        pytest.fail("@pytest.mark.parley takes template=, options= and cold=.", pytrace=False)
    options = (*config.getini("parley_options"), *given.get("options", ()))
    return _Wanted(_template(request, given.get("template")), options, config.rootpath, given.get("cold", False))


def _template(request: pytest.FixtureRequest, marked: str | None) -> Path | None:
    """Return the template: of the marker, else of the command line, else of the settings."""
    config = request.config
    if marked:
        return request.path.parent / marked
    if given := config.getoption("--parley-template"):
        return config.invocation_params.dir / str(given)
    if setting := config.getini("parley_template"):
        return (config.inipath.parent if config.inipath else config.rootpath) / str(setting)
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the emulator has printed during a test that fails."""
    report = yield
    if report.failed and _SHOWN in item.stash:
        emulator, printed = item.stash[_SHOWN]
        report.sections.append(("Captured parley log", "".join(emulator.process.since(printed))))
    return report
