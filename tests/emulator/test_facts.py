"""The facts themselves: each is held by a test, and the documentation says which."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from parley.gateway.assumptions import Assumptions

from tests.emulator.conformance.deployment import TEMPLATE
from tests.emulator.facts import COUNTED, FACTS
from tests.emulator.facts_table import DOCUMENT, document, holdings


@pytest.fixture(scope="module")
def held():
    return list(holdings())


def test_there_are_30_of_which_28_count():
    assert {key for key in FACTS if isinstance(key, int)} == set(range(1, 31))
    assert len(COUNTED) == 28
    assert set(range(1, 31)) - COUNTED == {4, 9}


def test_each_that_is_reproduced_is_held_by_a_test(held):
    reproduced = {key for key, fact in FACTS.items() if fact.fidelity != "not"}
    assert {each.key for each in held} == reproduced


def test_tests_believe_a_source_that_the_fact_has(held):
    strangers = [
        f"{each.key} {each.name}: {each.source}" for each in held if each.source not in FACTS[each.key].sources
    ]
    assert strangers == []


def test_each_switch_is_of_one_fact_and_each_of_those_is_unsure():
    switches = Counter(fact.switch for fact in FACTS.values() if fact.switch)
    assert switches == Counter(Assumptions.choices().keys())
    assert not any(fact.sure for fact in FACTS.values() if fact.switch)


def test_the_documentation_is_up_to_date():
    assert DOCUMENT.read_text() == document(), "run: python -m tests.emulator.facts"


def test_cloudformation_would_take_the_template():
    linter = Path(sys.executable).with_name("cfn-lint")
    linted = subprocess.run([linter, TEMPLATE], capture_output=True, text=True)
    assert (linted.returncode, linted.stdout) == (0, "")
