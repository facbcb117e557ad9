"""Values of parameters, judged as CloudFormation judges them (tests/support/cloudformation.py has its rules)."""

from __future__ import annotations

import pytest
from parley.operations import parameters
from parley.template.parameters import is_accepted

from tests.support import cloudformation
from tests.support.parameters import ROWS
from tests.support.sam import TEMPLATE, source


@pytest.mark.parametrize("name", ROWS)
def test_the_command_line_accepts_what_cloudformation_accepts(name):
    declared, row = source()["Parameters"][name], ROWS[name]
    for value in (*row.good, *row.bad, *row.stricter):
        assert is_accepted(declared, value) is cloudformation.accepts(declared, value), value


KEYS = {"JwtJwksUrl": "https://id.example/keys"}


@pytest.mark.parametrize(
    "given",
    [
        {"JwtSecret": "s" * 32},
        {},
        {"JwtSecret": "s" * 32, **KEYS},
        KEYS,
        {**KEYS, "JwtIssuer": "https://id.example"},
        {**KEYS, "JwtIssuer": "https://id.example", "JwtAudience": "app"},
    ],
)
def test_rules_are_broken_as_cloudformation_says(given):
    found = [each.text for each in parameters.broken_rules(TEMPLATE, given, "here")]
    assert found == [f"here: {text}" for text in cloudformation.broken_rules(source(), given)]
