"""`infra/samconfig.toml`: presets that a deployment takes as they are, by hand and in CI."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.support.cloudformation import accepts, broken_rules
from tests.support.sam import source

CONFIG = tomllib.loads((Path(__file__).parents[2] / "infra" / "samconfig.toml").read_text())
PRESETS = ["dev", "prod"]
ENVIRONMENTS = ["default", *PRESETS]


def deploy(environment: str) -> dict[str, Any]:
    parameters: dict[str, Any] = CONFIG[environment]["deploy"]["parameters"]
    return parameters


def overrides(environment: str) -> dict[str, str]:
    given: dict[str, str] = deploy(environment).get("parameter_overrides", {})
    return given


def test_there_are_two_presets_beside_the_defaults():
    assert [name for name, value in CONFIG.items() if isinstance(value, dict)] == ENVIRONMENTS


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nothing_asks_and_nothing_to_do_is_no_error(environment):
    given = deploy(environment)
    assert (given["confirm_changeset"], given["fail_on_empty_changeset"]) == (False, False)
    assert (given["capabilities"], given["resolve_s3"]) == ("CAPABILITY_IAM", True)
    assert CONFIG[environment]["build"]["parameters"] == {"build_in_source": True}


def test_each_has_a_stack_of_its_own():
    names = [CONFIG[environment]["global"]["parameters"]["stack_name"] for environment in ENVIRONMENTS]
    assert len(set(names)) == len(names)
    # `sam delete` deletes what it finds under the prefix.
    assert [deploy(environment)["s3_prefix"] for environment in ENVIRONMENTS] == names


@pytest.mark.parametrize("environment", PRESETS)
def test_cloudformation_takes_the_parameters(environment):
    template, given = source(), overrides(environment)
    assert {name: each for name, each in given.items() if not accepts(template["Parameters"][name], each)} == {}
    assert broken_rules(template, given) == []
    assert {name for name, each in template["Parameters"].items() if "Default" not in each} <= given.keys()


@pytest.mark.parametrize("environment", PRESETS)
def test_it_holds_no_secret(environment):
    secrets = [name for name, each in source()["Parameters"].items() if each.get("NoEcho")]
    assert all(overrides(environment)[name].startswith(f"ssm:/parley/{environment}/") for name in secrets)


@pytest.mark.parametrize("environment", PRESETS)
def test_it_tags_what_it_makes(environment):
    assert deploy(environment)["tags"] == f"project=parley stage={environment}"


def test_a_failed_first_deployment_of_prod_leaves_nothing_behind():
    """CloudFormation cannot delete a table that DynamoDB protects."""
    assert overrides("prod").get("DeletionProtection", "false") == "false"


def test_the_documentation_has_all_parameters_with_their_defaults():
    documented = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text()
    for name, declared in source()["Parameters"].items():
        [row] = [line for line in documented.splitlines() if line.startswith(f"| `{name}` |")]
        meaning = " ".join(declared["Description"].split())
        assert row.endswith(f"| {meaning} |"), name
        default = str(declared.get("Default", "none: it is asked for"))
        assert row.split(" | ")[1].strip("`") == (default or "empty"), name
