"""A pytest plugin that counts facts: one is held when tests of it ran, and all of those passed."""

from __future__ import annotations

from collections import defaultdict

import pytest

from tests.emulator.facts import COUNTED, FACTS, Key


class FactReport:
    """Results of a run's tests, fact by fact."""

    def __init__(self) -> None:
        self._passed: dict[Key, bool] = defaultdict(lambda: True)

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Write the facts that a test holds into its report."""
        for mark in item.iter_markers("fact"):
            item.user_properties += [("fact", key) for key in mark.args]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test's outcome. A skipped test says nothing about its facts."""
        if report.failed or (report.passed and report.when == "call"):
            for name, key in report.user_properties:
                if name == "fact":
                    self._passed[key] &= report.passed

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say how many facts are held, and which are not."""
        if not self._passed:
            return
        held = [key for key in COUNTED if self._passed.get(key)]
        write = terminalreporter.write_line
        terminalreporter.section("API Gateway")
        write(f"facts: {len(held)} of {len(COUNTED)}")
        for key, fact in FACTS.items():
            if not self._passed.get(key, True):
                write(f"{'not held' if fact.sure else 'unsure, and not as assumed'}: {key} – {fact.text}")
        if missing := sorted(key for key in COUNTED if key not in self._passed):
            write(f"not run: {', '.join(map(str, missing))}")
