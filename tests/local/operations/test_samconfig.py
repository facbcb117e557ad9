"""Stages in `infra/samconfig.toml`, as `parley`'s commands read them."""

from __future__ import annotations

import textwrap

import pytest
from parley.errors import StartError
from parley.operations import samconfig


@pytest.fixture
def read(tmp_path):
    def read(text, stage="dev"):
        file = tmp_path / "samconfig.toml"
        file.write_text(textwrap.dedent(text))
        return samconfig.read(file, stage)

    return read


GLOBAL = '[dev.global.parameters]\nstack_name = "parley-dev"\n'


def test_a_command_of_its_own_has_precedence(read):
    found = read(GLOBAL + '[dev.deploy.parameters]\nstack_name = "other"\nregion = "eu-west-1"\nprofile = "work"\n')
    assert (found.stack, found.region, found.profile, found.parameters) == ("other", "eu-west-1", "work", {})


@pytest.mark.parametrize(
    "written",
    [
        '["A=1", "B=x y", "C="]',
        "'A=1 B=\"x y\" C='",
        '{A = 1, B = "x y", C = ""}',
    ],
)
def test_parameters_in_each_form_that_the_sam_cli_reads(read, written):
    assert read(f"{GLOBAL}[dev.deploy.parameters]\nparameter_overrides = {written}\n").parameters == {
        "A": "1",
        "B": "x y",
        "C": "",
    }


@pytest.mark.parametrize(
    ("text", "stage", "said"),
    [
        (GLOBAL, "prod", "has no stage prod. It has dev: make deploy STAGE=dev."),
        (
            "[dev.deploy.parameters]\n",
            "dev",
            "names no stack for stage dev. Set stack_name in [dev.global.parameters].",
        ),
        ("[dev", "dev", "is not TOML"),
        (GLOBAL + '[dev.deploy.parameters]\nparameter_overrides = ["A"]\n', "dev", "'A' in parameter_overrides"),
    ],
)
def test_what_is_wrong_is_named(read, text, stage, said):
    with pytest.raises(StartError) as error:
        read(text, stage)
    assert said in str(error.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(StartError, match=r"Cannot read .*none.toml: No such file or directory. Name the file"):
        samconfig.read(tmp_path / "none.toml", "dev")
