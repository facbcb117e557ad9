"""Settings: one check for all functions, which names each variable whose value cannot be used."""

from pathlib import Path

import pytest
from parley.template.source import load

from handlers.chat.errors import Misconfigured
from handlers.chat.settings import ACCESS, Settings, refuse_wrong
from handlers.wiring import Wiring
from tests.support.settings_rules import IDENTITY_RULES, RULES, SECRET, WRONG

TEMPLATE = Path(__file__).parents[3] / "infra" / "template.yaml"


def variables(name):
    return load(TEMPLATE.read_text())["Resources"][name]["Properties"]["Environment"]["Variables"]


def checked(environ, **more):
    return Settings.check(environ, identifies_users=False, **more)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, (good, _) in RULES.items() for value in good])
def test_a_value_that_keeps_the_rule_is_used(name, value):
    assert checked({name: value})[1] == {}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, (_, bad) in RULES.items() for value in bad])
def test_a_wrong_value_is_named_and_its_default_used(name, value):
    settings, problems = checked({name: value})
    assert list(problems) == [name]
    assert name in problems[name]
    assert settings == Settings.of({})
    with pytest.raises(Misconfigured, match=name):
        Settings.of({name: value})


def test_all_wrong_values_are_named_at_once():
    settings, problems = checked(WRONG)
    assert set(problems) == set(WRONG)
    assert settings == Settings.of({})


@pytest.mark.parametrize(("environ", "named"), IDENTITY_RULES)
def test_a_function_that_verifies_tokens_needs_one_way_to_do_it(environ, named):
    settings, problems = Settings.check(environ, identifies_users=True)
    assert sorted(problems) == named
    assert all(name in problems[name] for name in named)
    assert bool(settings.jwt_secret or settings.jwks_url) == (not named)
    assert not checked({name: value for name, value in environ.items() if name != "JWT_ISSUER"})[1]


@pytest.mark.parametrize("name", sorted(ACCESS & RULES.keys()))
def test_a_wrong_setting_that_decides_who_is_let_in_leaves_no_key(name):
    for value in RULES[name][1]:
        settings, problems = Settings.check({"JWT_SECRET": SECRET, name: value}, identifies_users=True)
        assert (settings.jwt_secret, settings.jwks_url, list(problems)) == ("", "", [name])


def test_no_text_repeats_a_value_that_may_be_a_secret():
    names = ("JWT_SECRET", "JWT_JWKS_URL", "JWT_ISSUER", "OPENAI_API_KEY", "OPENAI_BASE_URL")
    for value in ("hunter2 ключ", "ssm:hunter2", "secretsmanager:hunter2 "):
        for name in names:
            _, problems = Settings.check({name: value}, identifies_users=True)
            assert "hunter2" not in str(problems)


def test_problems_are_refused_by_all_their_names_or_by_those_that_matter():
    problems = {"B": "B is wrong", "A": "A is wrong"}
    with pytest.raises(Misconfigured, match=r"B is wrong. A is wrong") as refused:
        refuse_wrong(problems)
    assert refused.value.variables == ("A", "B")
    with pytest.raises(Misconfigured, match=r"^A is wrong$"):
        refuse_wrong(problems, {"A", "C"})
    refuse_wrong(problems, {"C"})
    refuse_wrong({})


class TestTheTemplate:
    """The variables of each function: it can say only of these that they are wrong."""

    def of(self, function):
        """Return the variables of a function that can be wrong."""
        names = (
            variables(function).keys()
            | load(TEMPLATE.read_text())["Globals"]["Function"]["Environment"]["Variables"].keys()
        )
        wrong = Settings.check(dict.fromkeys(names, "\x00 wrong"), identifies_users="JWT_SECRET" in names)[1]
        return set(wrong)

    def test_every_rule_is_in_these_tests(self):
        functions = ("ConnectFunction", "DefaultFunction", "GenerateFunction", "ExpireFunction", "ApiFunction")
        identity = {"JWT_SECRET", "JWT_JWKS_URL", "JWT_ISSUER"}
        assert set.union(*map(self.of, functions)) | identity == RULES.keys() | identity

    def test_the_health_check_sees_every_variable_but_the_models_key(self):
        functions = ("ConnectFunction", "DefaultFunction", "GenerateFunction", "ExpireFunction")
        assert set.union(*map(self.of, functions)) - {"OPENAI_API_KEY"} <= self.of("ApiFunction")

    def test_the_function_that_accepts_messages_sees_every_variable_of_the_worker_but_the_models_key(self):
        # A secret is known only where it is used.
        assert self.of("GenerateFunction") - self.of("DefaultFunction") == {"OPENAI_API_KEY"}

    def test_who_lets_users_in_sees_every_variable_that_decides_about_it(self):
        assert ACCESS - variables("ConnectFunction").keys() == set()
        assert ACCESS - variables("ApiFunction").keys() == set()
        assert ACCESS - variables("DefaultFunction").keys() == {"ALLOWED_ORIGINS"}, "checked at the handshake"


def test_the_parts_of_a_function_have_the_defaults_and_the_problems():
    wired = Wiring(WRONG)
    assert wired.settings == Settings.of({})
    assert set(wired.wrong_settings) == set(WRONG)
    assert set(Wiring({}, identifies_users=True).wrong_settings) == {"JWT_SECRET", "JWT_JWKS_URL"}


@pytest.mark.parametrize(("value", "temperature"), [(None, 0.7), ("", None), ("0", 0.0), ("1.5", 1.5)])
def test_an_empty_temperature_is_none(value, temperature):
    environ = {} if value is None else {"OPENAI_TEMPERATURE": value}
    assert Settings.of(environ).openai_temperature == temperature


def test_texts_of_the_model_lose_the_newline_of_the_file_that_they_come_from():
    settings = Settings.of({"OPENAI_BASE_URL": "https://model.example/v1\n", "OPENAI_MODEL": " m\n"})
    assert (settings.openai_base_url, settings.openai_model) == ("https://model.example/v1", "m")


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/v1", "https://[::1]:9/v1", "https://a.example"])
def test_a_url_is_kept(url):
    assert Settings.of({"OPENAI_BASE_URL": url}).openai_base_url == url


@pytest.mark.parametrize(
    "url", ["a.example", "ftp://a.example", "http://", "http://[::1", "http://a:x", "https://:443"]
)
def test_what_is_no_url_of_a_server_is_refused(url):
    with pytest.raises(Misconfigured, match="OPENAI_BASE_URL"):
        Settings.of({"OPENAI_BASE_URL": url})
