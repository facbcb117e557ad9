"""Parameters of the template: no value is accepted there that the functions refuse, so a stack that deploys works.

Each parameter has a row here with values inside of its bounds, on them, and outside. The template and the functions get
the same values, and must agree.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parley.account import ACCOUNT_ID, REGION
from parley.template.document import Document
from parley.template.references import Stack

from handlers.chat.cost import Prices
from handlers.chat.errors import Misconfigured
from tests.support.cloudformation import accepts, broken_rules
from tests.support.parameters import ISSUER, KEY_SET, KEYS, PLACES, ROWS, SECRET, Environment, read_settings
from tests.support.sam import TEMPLATE, named_in, source
from tests.support.settings_rules import RULES

DECLARED: dict[str, dict[str, Any]] = source()["Parameters"]


READ = [parameter for parameter, row in ROWS.items() if row.variable]


def environment(parameter: str, value: str) -> Environment:
    """Return the variables of a function with this value, and with what has to go with it."""
    variable = ROWS[parameter].variable
    assert variable is not None
    match parameter:
        case "JwtSecret":
            rest = {} if value else KEY_SET
        case "JwtJwksUrl":
            rest = {"JWT_ISSUER": ISSUER} if value else {"JWT_SECRET": SECRET}
        case _:
            rest = {"JWT_SECRET": SECRET}
    return {**rest, variable: value}


def refusal(parameter: str, value: str) -> str:
    """Return what the functions say against a value; empty if they accept it."""
    try:
        ROWS[parameter].read(environment(parameter, value))
    except (Misconfigured, ValueError) as error:
        return str(error) or repr(error)
    return ""


def test_every_parameter_has_a_row():
    assert DECLARED.keys() == ROWS.keys()


def test_every_parameter_has_a_default_but_the_key_of_the_model():
    """A secret without a default is asked for again and again by `sam deploy --guided`, until it is not empty."""
    assert [name for name, declared in DECLARED.items() if "Default" not in declared] == ["OpenAiApiKey"]


@pytest.mark.parametrize("parameter", ROWS)
def test_the_template_takes_good_values_and_no_others(parameter):
    row, declared = ROWS[parameter], DECLARED[parameter]
    assert [value for value in row.good if not accepts(declared, value)] == []
    assert [value for value in (*row.bad, *row.stricter) if accepts(declared, value)] == []
    assert "Default" not in declared or accepts(declared, str(declared["Default"]))


@pytest.mark.parametrize("parameter", READ)
def test_the_functions_take_good_values_and_no_bad_ones(parameter):
    row = ROWS[parameter]
    assert {value: reason for value in row.good if (reason := refusal(parameter, value))} == {}
    assert [value for value in row.bad if not refusal(parameter, value)] == []
    # A value that the functions refuse too needs no reason of the template's own.
    assert [value for value in row.stricter if refusal(parameter, value)] == []


@pytest.mark.parametrize("parameter", [each for each in READ if "AllowedPattern" in DECLARED[each]])
def test_no_value_that_the_template_takes_is_refused_by_the_functions(parameter):
    @given(st.from_regex(re.compile(DECLARED[parameter]["AllowedPattern"], re.ASCII), fullmatch=True))
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    def check(value: str) -> None:
        assert not accepts(DECLARED[parameter], value) or not refusal(parameter, value)

    check()


def test_a_parameter_that_functions_read_says_exactly_what_it_takes():
    """CloudFormation's Number accepts 1.5, and has no pattern."""
    template = source()
    variables = [
        each["Properties"].get("Environment", {})
        for each in template["Resources"].values()
        if each["Type"] == "AWS::Serverless::Function"
    ]
    for name in {*named_in(variables), *named_in(template["Globals"]["Function"]["Environment"])} & DECLARED.keys():
        declared = DECLARED[name]
        assert declared["Type"] == "String", name
        assert {"AllowedPattern", "ConstraintDescription"} <= declared.keys() or "AllowedValues" in declared, name
        assert ROWS[name].variable, name


def test_all_prices_can_be_set():
    for price in fields(Prices):
        assert accepts(DECLARED["Prices"], f'{{"{price.name}": 1.5}}'), price.name


@pytest.mark.parametrize("parameter", [each for each in READ if ROWS[each].variable in RULES])
def test_the_template_refuses_what_the_tests_of_the_settings_call_wrong(parameter):
    _, bad = RULES[ROWS[parameter].variable]
    assert [value for value in bad if accepts(DECLARED[parameter], value)] == []


class TestRules:
    @pytest.mark.parametrize("signed", [*itertools.product(["", SECRET, "ssm:/name"], ["", KEYS])])
    @pytest.mark.parametrize("issued", [*itertools.product(["", ISSUER], ["", "my-app", "*"])])
    def test_they_refuse_what_the_functions_refuse(self, signed, issued):
        names = ("JwtSecret", "JwtJwksUrl", "JwtIssuer", "JwtAudience")
        values = dict(zip(names, (*signed, *issued), strict=True))
        broken = broken_rules(source(), values)
        environ = {ROWS[name].variable: value for name, value in values.items()}
        try:
            read_settings(environ)
        except Misconfigured:
            assert broken
            return
        # The functions start without an audience, and refuse each token that has one: a provider's tokens all do.
        forgotten = bool(values["JwtJwksUrl"]) and not values["JwtAudience"]
        assert bool(broken) == forgotten

    def test_they_say_what_to_do(self):
        [nothing] = broken_rules(source(), {})
        assert "Set JwtSecret, or JwtJwksUrl" in nothing
        [both] = broken_rules(source(), {"JwtSecret": SECRET, "JwtJwksUrl": KEYS, "JwtIssuer": "i", "JwtAudience": "a"})
        assert "not both" in both
        issuer, audience = broken_rules(source(), {"JwtJwksUrl": KEYS})
        assert "needs JwtIssuer" in issuer
        assert "needs JwtAudience" in audience


ARNS = {
    "ssm:/name": "ssm:{}:parameter/name",
    "ssm:/parley/prod/key": "ssm:{}:parameter/parley/prod/key",
    "ssm:/name:3": "ssm:{}:parameter/name",
    "secretsmanager:parley": "secretsmanager:{}:secret:parley-??????",
    "secretsmanager:a/b_c+=.@-d": "secretsmanager:{}:secret:a/b_c+=.@-d-??????",
}
"""The ARN of each good place; `{}` is for the region and the account."""


class TestPlacesOfSecrets:
    def statements(self, parameter: str, **values: str) -> list[dict[str, Any]]:
        """Return the statements of a secret's policy, resolved."""
        document = Document.read(TEMPLATE, values, {}, Stack("parley"))
        found: list[dict[str, Any]] = document.properties(f"{parameter}Policy").get("PolicyDocument")["Statement"]
        return found

    def test_each_good_place_is_here(self):
        assert set(ARNS) == set(PLACES)

    @pytest.mark.parametrize("parameter", ["JwtSecret", "OpenAiApiKey"])
    @pytest.mark.parametrize("place", ARNS)
    def test_the_function_may_read_exactly_that_secret(self, parameter, place):
        [statement] = self.statements(parameter, **{parameter: place})
        assert statement["Resource"] == "arn:aws:" + ARNS[place].format(f"{REGION}:{ACCOUNT_ID}")
        action = "ssm:GetParameter" if place.startswith("ssm:") else "secretsmanager:GetSecretValue"
        assert statement["Action"] == action

    @pytest.mark.parametrize("parameter", ["JwtSecret", "OpenAiApiKey"])
    def test_with_a_key_of_your_own_they_may_decrypt_it_through_these_services_only(self, parameter):
        key = "arn:aws:kms:eu-central-1:123456789012:key/1234"
        [_, decrypting] = self.statements(parameter, **{parameter: "ssm:/name", "SecretsKeyArn": key})
        services = [f"{service}.{REGION}.amazonaws.com" for service in ("ssm", "secretsmanager")]
        assert decrypting == {
            "Effect": "Allow",
            "Action": "kms:Decrypt",
            "Resource": key,
            "Condition": {"StringEquals": {"kms:ViaService": services}},
        }
