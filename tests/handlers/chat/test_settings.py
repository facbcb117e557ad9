"""Settings: one check for all functions, which names each variable whose value cannot be used."""

from pathlib import Path

import pytest
from parley.template.source import load

from handlers.chat.errors import Misconfigured
from handlers.chat.settings import Settings
from handlers.wiring import Wiring

TEMPLATE = Path(__file__).parents[3] / "infra" / "template.yaml"
WRONG = {
    "CHAT_LANGUAGE": "de",
    "AUTO_CREATE_USERS": "yes",
    "ANONYMOUS_SECONDS": "-1",
    "MESSAGE_CHARS": "0",
    "MESSAGES_PER_MINUTE": "1.5",
    "MESSAGES_PER_DAY": "x",
    "TOKENS_PER_DAY": "x",
    "CONNECTIONS_PER_USER": "x",
    "CONCURRENT_REPLIES": "101",
    "FRAMES_PER_SECOND": "x",
    "HISTORY_CHARS": "0",
    "RELAY_PACE_MS": "nan",
    "OPENAI_BASE_URL": "api.openai.com/v1",
    "OPENAI_TEMPERATURE": "2.1",
    "OPENAI_FIRST_TOKEN_SECONDS": "0",
    "OPENAI_TOKEN_SECONDS": "inf",
    "TURN_PRICES": "[1]",
}


def variables(name):
    return load(TEMPLATE.read_text())["Resources"][name]["Properties"]["Environment"]["Variables"]


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_named_and_its_default_used(name):
    settings, problems = Settings.check({name: WRONG[name]})
    assert list(problems) == [name]
    assert name in problems[name]
    assert settings == Settings.of({})
    with pytest.raises(Misconfigured, match=name):
        Settings.of({name: WRONG[name]})


def test_all_wrong_values_are_named_at_once():
    assert set(Settings.check(WRONG)[1]) == set(WRONG)


def test_the_function_of_the_health_check_has_every_variable_that_can_be_wrong():
    declared = {
        name for function in ("DefaultFunction", "GenerateFunction", "ConnectFunction") for name in variables(function)
    }
    checked = {name for name in declared if Settings.check({name: "\x00 wrong"})[1]}
    assert checked == set(WRONG)
    assert checked <= set(variables("ApiFunction"))


def test_a_function_refuses_wrong_settings_unless_it_is_tolerant():
    with pytest.raises(Misconfigured, match="HISTORY_CHARS"):
        _ = Wiring(WRONG).settings
    tolerant = Wiring(WRONG, tolerant=True)
    assert tolerant.settings == Settings.of({})
    assert set(tolerant.wrong_settings) == set(WRONG)


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
