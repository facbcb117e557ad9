"""The variables of functions, and the developer's own."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from parley import dev_tokens, proxies
from parley.cli.main import main
from parley.emulator.certificate import Certificate
from parley.emulator.options import Address, FunctionOptions, Options, overrides
from parley.emulator.variables import FunctionVariables
from parley.errors import StartError
from parley.template.model import Function, HttpApi, Stage, Template, WebSocketApi
from parley.template.reader import read

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


LIMITED = {"Rate": {"Type": "Number", "MaxValue": 60_000}, "Key": {"AllowedPattern": "[a-z]+", "NoEcho": True}}


@pytest.mark.parametrize(
    ("said", "lines"),
    [
        ({}, []),
        ({"RATE": "60000", "KEY": "abc", "OTHER": "-"}, []),
        ({"RATE": ""}, []),
        (
            {"RATE": "100000"},
            [
                "RATE of the shell or of .env cannot be deployed: parameter Rate does not accept '100000'. "
                "Give MaxValue 60000."
            ],
        ),
        (
            {"KEY": "S3CRET"},
            [
                "KEY of the shell or of .env cannot be deployed: parameter Key does not accept its value. "
                "Give a text that matches [a-z]+"
            ],
        ),
    ],
)
def test_a_developers_value_that_a_deployment_would_refuse_has_one_line(said, lines):
    declared = {"RATE": "20", "KEY": "abc", "OTHER": "1"}
    own = {
        name: Function(name, "app.f", Path(), 3.0, 128, declared, parameters={"RATE": "Rate", "KEY": "Key"})
        for name in "fg"
    }
    template = Template(own, (), (), (), notes=("one",), constraints=LIMITED)
    found = FunctionVariables(Options(), said, CERTIFICATE).provision(template)
    assert found.notes == ("one", *lines)


def test_nothing_is_said_of_what_the_emulator_itself_sets():
    said = {}
    proxies.exempt(said, "192.168.1.5")
    ours = read(Path(__file__).parents[3] / "infra" / "template.yaml")
    assert FunctionVariables(Options(), said, CERTIFICATE).provision(ours).notes == ()


class TestTheShell:
    """A shell's own variables say nothing about a function; `.env` and `--env` are about the project."""

    @pytest.mark.parametrize(
        "name", ["HOME", "LANG", "LC_ALL", "PATH", "TZ", "USER", "STAGE", "ENVIRONMENT", "PORT", "PYTHONPATH", "CI"]
    )
    def test_the_templates_value_stays(self, tmp_path, name):
        assert variables(overrides({name: "of the shell"}, tmp_path), {name: "declared"})[name] == "declared"
        assert variables({name: "of the shell"}, {name: "declared"})[name] == "declared"

    @pytest.mark.parametrize("name", ["OPENAI_MODEL", "HOMEPAGE", "MAIL_FROM", "STAGES", "DB_USER", "TERMS", "LANGS"])
    def test_a_variable_of_another_name_counts(self, name):
        assert variables({name: "of the shell"}, {name: "declared"})[name] == "of the shell"

    @pytest.mark.parametrize("name", ["HOME", "STAGE", "OPENAI_MODEL"])
    def test_the_file_counts_for_every_name(self, tmp_path, name):
        (tmp_path / ".env").write_text(f"{name}=of the file\n")
        assert variables(overrides({}, tmp_path), {name: "declared"})[name] == "of the file"

    def test_the_file_wins_over_the_shell_only_where_the_shell_means_itself(self, tmp_path):
        (tmp_path / ".env").write_text("STAGE=of the file\nOPENAI_MODEL=of the file\n")
        said = overrides({"STAGE": "of the shell", "OPENAI_MODEL": "of the shell"}, tmp_path)
        seen = variables(said, {"STAGE": "", "OPENAI_MODEL": ""})
        assert (seen["STAGE"], seen["OPENAI_MODEL"]) == ("of the file", "of the shell")

    def test_a_value_that_does_not_count_is_not_checked(self):
        function = Function("f", "app.f", Path(), 3.0, 128, {"STAGE": "dev"}, parameters={"STAGE": "Stage"})
        template = Template({"f": function}, (), (), (), constraints={"Stage": {"AllowedValues": ["dev"]}})
        assert FunctionVariables(Options(), {"STAGE": "mine"}, CERTIFICATE).provision(template).notes == ()


def given(*variables):
    """Return the variables of the functions `f` and `g-live` (the resource `G`) with these values of `--env`."""
    named = dict(each.split("=") for each in variables)
    functions = {
        name: Function(name, "app.f", Path(), 3.0, 128, {"A": "declared"}, logical_id=logical_id)
        for name, logical_id in (("f", "f"), ("g-live", "G"))
    }
    options = Options(functions=FunctionOptions(variables=named))
    found = FunctionVariables(options, overrides({"A": "of the shell"}, Path("/nowhere")), CERTIFICATE)
    return {name: each.environment for name, each in found.provision(Template(functions, (), (), ())).functions.items()}


class TestGiven:
    """`--env`."""

    def test_all_functions_have_it_also_undeclared(self):
        seen = given("NEW=1", "A=2")
        assert [(each["NEW"], each["A"]) for each in seen.values()] == [("1", "2"), ("1", "2")]

    @pytest.mark.parametrize("name", ["g-live", "G"])
    def test_one_function_has_it_by_its_name_or_logical_id(self, name):
        seen = given(f"{name}.NEW=1", f"{name}.A=3", "A=2")
        assert seen["g-live"]["NEW"] == "1"
        assert "NEW" not in seen["f"]
        assert (seen["f"]["A"], seen["g-live"]["A"]) == ("2", "3")

    def test_a_function_that_does_not_exist_is_said(self):
        with pytest.raises(StartError, match=r"--env h\.NEW: there is no function h\. The template has f, g-live\."):
            given("h.NEW=1")

    def test_a_model_may_be_named_for_one_function(self):
        assert given("f.OPENAI_BASE_URL=http://mine")["f"]["OPENAI_BASE_URL"] == "http://mine"

    def test_it_counts_as_the_developers_own_everywhere(self, tmp_path):
        said = overrides({"JWT_SECRET": "of the shell"}, tmp_path, {"JWT_SECRET": "given"})
        assert variables(said)["JWT_SECRET"] == "given"

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--env", "AWS_REGION=x"], "--env AWS_REGION: Lambda sets AWS_REGION itself"),
            (["--env", "f.AWS_LAMBDA_FUNCTION_NAME=x"], "Lambda sets AWS_LAMBDA_FUNCTION_NAME itself"),
            (["--env", "a-b=x"], "--env a-b is not of the form NAME=VALUE or Function.NAME=VALUE"),
            (["--env", "a.b.c=x"], "--env a.b.c is not of the form"),
            (["--env", "NAME"], "'NAME' is not of the form NAME=VALUE."),
        ],
    )
    def test_a_name_that_no_function_can_have_is_refused(self, tmp_path, arguments, said):
        (tmp_path / "template.yaml").write_text("Resources: {}")
        result = CliRunner().invoke(main, ["up", "--template", str(tmp_path / "template.yaml"), *arguments])
        assert result.exit_code in (1, 2)
        assert said in result.output


def test_the_path_of_a_second_api_is_in_the_place_of_its_host():
    first, second = "c" * 10, "d" * 10
    apis = (HttpApi("Web", first, "$default", ()), HttpApi("FUrl", second, "$default", (), "url"))
    declared = {
        "FIRST": f"https://{first}.execute-api.us-east-1.amazonaws.com/x",
        "SECOND": f"https://{second}.lambda-url.us-east-1.on.aws/x",
    }
    template = Template({"f": Function("f", "app.f", Path(), 3.0, 128, declared)}, (), apis, ())
    seen = FunctionVariables(Options(), {}, CERTIFICATE).provision(template).functions["f"].environment
    assert (seen["FIRST"], seen["SECOND"]) == ("https://127.0.0.1:8000/x", "https://127.0.0.1:8000/FUrl/x")
