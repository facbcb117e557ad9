"""The variables of functions, and the developer's own."""

from pathlib import Path

import pytest
from parley import dev_tokens
from parley.emulator.certificate import Certificate
from parley.emulator.options import Address, Options, overrides
from parley.emulator.variables import FunctionVariables
from parley.template.model import Function, Stage, Template, WebSocketApi

CERTIFICATE = Certificate(Path("own.pem"), Path("bundle.pem"))

DECLARED = {
    "JWT_SECRET": "",
    "OPENAI_API_KEY": "",
    "OPENAI_BASE_URL": "https://api.openai.com/v1",
    "OPENAI_MODEL": "gpt-4o",
    "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": "https://abc.execute-api.us-east-1.amazonaws.com/live",
}


def variables(said, declared=DECLARED, **options):
    function = Function("f", "app.handler", Path(), 3.0, 128, declared)
    api = WebSocketApi("Api", "abcdef1234", (Stage("live"),), "$request.body.type", {})
    template = Template({"f": function}, (api,), (), ())
    found = FunctionVariables(Options(**options), said, CERTIFICATE)
    return found.provision(template).functions["f"].environment


def test_without_a_key_the_built_in_model_answers():
    seen = variables({})
    assert seen["OPENAI_BASE_URL"] == "http://127.0.0.1:8000/v1"
    assert seen["OPENAI_API_KEY"]


def test_a_key_alone_leads_to_the_templates_server():
    seen = variables({"OPENAI_API_KEY": "sk-1"})
    assert (seen["OPENAI_API_KEY"], seen["OPENAI_BASE_URL"]) == ("sk-1", "https://api.openai.com/v1")


def test_an_address_alone_is_a_server_that_needs_no_key():
    seen = variables({"OPENAI_BASE_URL": "http://127.0.0.1:11434/v1", "OPENAI_MODEL": "llama3.2"})
    assert (seen["OPENAI_BASE_URL"], seen["OPENAI_MODEL"]) == ("http://127.0.0.1:11434/v1", "llama3.2")
    assert seen["OPENAI_API_KEY"]


def test_a_function_sees_only_the_variables_it_declares():
    seen = variables({"OPENAI_API_KEY": "sk-1", "HOME": "/home/me"}, {"OPENAI_MODEL": "gpt-4o"})
    assert not {"OPENAI_API_KEY", "OPENAI_BASE_URL", "JWT_SECRET", "HOME"} & set(seen)


def test_the_development_secret_stands_in_for_a_missing_one(tmp_path):
    said = {"XDG_CACHE_HOME": str(tmp_path)}
    assert variables(said)["JWT_SECRET"] == dev_tokens.secret(said)
    assert variables(said | {"JWT_SECRET": "mine"})["JWT_SECRET"] == "mine"


@pytest.mark.parametrize(
    ("said", "declared"),
    [({}, {"OTHER": ""}), ({"JWT_JWKS_URL": "https://keys"}, DECLARED), ({"JWT_SECRET": "x"}, DECLARED)],
)
def test_no_secret_is_made_where_none_is_needed(tmp_path, said, declared):
    variables(said | {"XDG_CACHE_HOME": str(tmp_path)}, declared)
    assert list(tmp_path.iterdir()) == []


def test_the_services_are_the_emulators_whatever_the_shell_says():
    seen = variables({"AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": "https://elsewhere"}, address=Address(port=9000))
    assert seen["AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"] == "http://127.0.0.1:9000/live"
    assert seen["AWS_ENDPOINT_URL_LAMBDA"] == "http://127.0.0.1:9000"
    assert seen["AWS_ENDPOINT_URL_DYNAMODB"] == "http://127.0.0.1:9000/_parley/dynamodb"


def test_a_variable_with_the_apis_own_host_names_this_machine():
    declared = {
        "URL": "https://abcdef1234.execute-api.us-east-1.amazonaws.com/live",
        "OTHER": "https://x.amazonaws.com",
    }
    seen = variables({}, declared)
    assert (seen["URL"], seen["OTHER"]) == ("https://127.0.0.1:8000/live", "https://x.amazonaws.com")


def test_functions_trust_the_emulators_certificate_unless_they_name_another():
    assert variables({})["AWS_CA_BUNDLE"] == "bundle.pem"
    assert variables({}, {"AWS_CA_BUNDLE": "mine.pem"})["AWS_CA_BUNDLE"] == "mine.pem"


@pytest.mark.parametrize(("dynamodb", "key"), [("embedded", None), ("https://dynamodb.eu-west-1.amazonaws.com", "AK")])
def test_the_developers_credentials_are_for_a_database_elsewhere_only(dynamodb, key):
    said = {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "SK", "AWS_REGION": "eu-west-1"}
    seen = variables(said, dynamodb=dynamodb)
    assert seen.get("AWS_ACCESS_KEY_ID") == key


def test_the_shell_wins_over_the_file(tmp_path):
    (tmp_path / ".env").write_text("OPENAI_MODEL=from-file\nJWT_SECRET=from-file\n")
    said = overrides({"OPENAI_MODEL": "from-shell"}, tmp_path)
    assert (said["OPENAI_MODEL"], said["JWT_SECRET"]) == ("from-shell", "from-file")


def test_a_function_behind_a_proxy_reaches_the_emulator_without_it():
    declared = {"HTTPS_PROXY": "", "NO_PROXY": ".amazonaws.com"}
    seen = variables({"HTTPS_PROXY": "http://proxy:3128"}, declared, address=Address("192.168.1.5"))
    assert seen["HTTPS_PROXY"] == "http://proxy:3128"
    assert seen["NO_PROXY"] == seen["no_proxy"] == ".amazonaws.com,127.0.0.1,localhost,::1,192.168.1.5"
    assert "no_proxy" not in variables({}, {"OPENAI_MODEL": "gpt-4o"})


def test_a_variable_that_the_developer_sets_to_nothing_is_empty():
    assert variables({"OPENAI_TEMPERATURE": ""}, {"OPENAI_TEMPERATURE": "0.7"})["OPENAI_TEMPERATURE"] == ""
