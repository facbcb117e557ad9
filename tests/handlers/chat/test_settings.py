"""Settings: one check for all functions, which names each variable whose value cannot be used."""

from pathlib import Path

import pytest
from parley.template.source import load

from handlers.chat.errors import Misconfigured
from handlers.chat.settings import ACCESS, Settings, refuse_wrong
from handlers.wiring import Wiring

TEMPLATE = Path(__file__).parents[3] / "infra" / "template.yaml"
SECRET = "s" * 32
PROVIDER = {"JWT_JWKS_URL": "https://id.example/keys", "JWT_ISSUER": "https://id.example/"}

RULES = {
    "CHAT_LANGUAGE": (["", "ru", "en"], ["de", "RU", " en"]),
    "AUTO_CREATE_USERS": (["", "true", "false"], ["yes", "True", "1"]),
    "ANONYMOUS_SECONDS": (["", "0", "60", "900"], ["-1", "901", "1.5", "x"]),
    "MESSAGE_CHARS": (["1", "10000"], ["0", "10001", "x"]),
    "MESSAGES_PER_MINUTE": (["0", "60000"], ["-1", "60001", "1.5"]),
    "MESSAGES_PER_DAY": (["0", "10000000"], ["-1", "10000001", "x"]),
    "TOKENS_PER_DAY": (["0", "10000000000"], ["-1", "10000000001", "x"]),
    "CONNECTIONS_PER_USER": (["0", "1000"], ["-1", "1001", "x"]),
    "CONCURRENT_REPLIES": (["0", "100"], ["-1", "101"]),
    "FRAMES_PER_SECOND": (["0", "10000"], ["-1", "10001", "x"]),
    "REQUESTS_PER_MINUTE": (["0", "60000"], ["-1", "60001", "x"]),
    "CHATS_PER_USER": (["0", "1000000"], ["-1", "1000001", "x"]),
    "MAX_COMPLETION_TOKENS": (["1", "1000000"], ["0", "1000001"]),
    "HISTORY_CHARS": (["1", "10000000"], ["0", "10000001", "1,000"]),
    "RELAY_PACE_MS": (["0", "0.5", "10000"], ["-1", "10001", "nan"]),
    "OPENAI_BASE_URL": (["", "http://127.0.0.1:9/v1\n"], ["api.openai.com/v1", "http://a b/", "http://a:0", "sk-1"]),
    "OPENAI_TEMPERATURE": (["", "0", "2"], ["-0.1", "2.1", "hot"]),
    "OPENAI_FIRST_TOKEN_SECONDS": (["0.1", "800"], ["0", "801", "inf"]),
    "OPENAI_TOKEN_SECONDS": (["0.1", "800"], ["0", "801", "inf"]),
    "OPENAI_API_KEY": (
        ["", "sk-1\n", "ssm:/a", "ssm:/a/b-c.d_e:3", "secretsmanager:parley/openai"],
        ["ключ", "sk\n1", "ssm:", "ssm:a", "ssm:/a//b", "ssm:/a b", "secretsmanager:", "secretsmanager:arn:aws:x"],
    ),
    "TURN_PRICES": (
        ["", "{}", '{"write_units": 0}', '{"frames": "1.5"}'],
        [
            "[1]",
            "{",
            '{"x": 1}',
            '{"frames": -1}',
            '{"frames": NaN}',
            '{"frames": 1e999}',
            "[" * 20_000,
        ],
    ),
    "ALLOWED_ORIGINS": (
        ["", "https://a.example", "https://a.example, http://localhost:5173,", "chrome-extension://abc"],
        [",", " ", "*", "a.example", "https://a.example/", "https://A.example", "https://a.example https://b.example"],
    ),
    "POWERTOOLS_LOG_LEVEL": (["", "DEBUG", "warning"], ["verbose", "WARN "]),
    "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": (
        ["https://a.example/live"],
        ["a.example/live", "wss://a.example/live"],
    ),
    "JWT_AUDIENCE": (["", "*", "parley"], [" ", "parley\n", " parley"]),
    "JWT_USER_CLAIM": (["", "oid", "https://a.example/user"], ["oid ", "\toid"]),
}
"""The values of each variable that keep its rule, at the edges too, and values that break it."""

IDENTITY_RULES = [
    ({}, ["JWT_JWKS_URL", "JWT_SECRET"]),
    ({"JWT_SECRET": ""}, ["JWT_JWKS_URL", "JWT_SECRET"]),
    ({"JWT_SECRET": "x" * 31}, ["JWT_SECRET"]),
    ({"JWT_SECRET": "é" * 15}, ["JWT_SECRET"]),
    ({"JWT_SECRET": "x" * 32}, []),
    ({"JWT_SECRET": "é" * 16}, []),
    ({"JWT_SECRET": "ssm:/parley/jwt-secret"}, []),
    ({"JWT_SECRET": "ssm:parley"}, ["JWT_SECRET"]),
    ({"JWT_SECRET": "secretsmanager:" + "arn:" * 10}, ["JWT_SECRET"]),
    ({"JWT_SECRET": SECRET} | PROVIDER, ["JWT_JWKS_URL", "JWT_SECRET"]),
    (PROVIDER, []),
    (PROVIDER | {"JWT_ISSUER": ""}, ["JWT_ISSUER"]),
    (PROVIDER | {"JWT_ISSUER": "https://id.example/\n"}, ["JWT_ISSUER"]),
    (PROVIDER | {"JWT_JWKS_URL": "http://127.0.0.1:9/keys"}, []),
    (PROVIDER | {"JWT_JWKS_URL": "http://id.example/keys"}, ["JWT_JWKS_URL"]),
    (PROVIDER | {"JWT_JWKS_URL": "https://"}, ["JWT_JWKS_URL"]),
    ({"JWT_JWKS_URL": "keys"}, ["JWT_ISSUER", "JWT_JWKS_URL"]),
]
WRONG = {name: outside[0] for name, (_, outside) in RULES.items()}


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
