"""The template of a project is found where its tool puts it, or the message says what was looked for."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from parley.cli.main import main
from parley.template.projects import others, template_of
from parley.template.source import TemplateError

SOCKETS = "Resources: {Api: {Type: AWS::Serverless::WebSocketApi}}"
FUNCTIONS = "Resources: {F: {Type: AWS::Lambda::Function}}"
BUCKETS = "Resources: {B: {Type: AWS::S3::Bucket}}"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def place(name, text=SOCKETS):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "name",
    [
        *("template.yaml", "template.yml", "template.json", "infra/template.yaml", ".aws-sam/build/template.yaml"),
        *("cdk.out/App.template.json", "cdk.out/assembly-App-Prod/AppProd.template.json"),
        ".serverless/cloudformation-template-update-stack.json",
    ],
)
def test_it_is_where_the_tool_puts_it(name):
    path = place(name)
    assert template_of(None) == path


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("template.yaml", ".aws-sam/build/template.yaml"),
        ("template.yml", "cdk.out/App.template.json"),
        ("infra/template.yaml", ".aws-sam/build/template.yaml"),
        ("cdk.out/App.template.json", ".aws-sam/build/template.yaml"),
    ],
)
def test_what_the_developer_edits_comes_before_what_a_tool_builds(first, second):
    built, edited = place(second), place(first)
    assert template_of(None) == edited
    assert others(edited) == [built]


def test_a_template_without_an_application_is_not_the_one():
    place("template.yaml", BUCKETS)
    assert template_of(None) == Path("template.yaml"), "reading it says what it lacks"
    packaged = place(".serverless/cloudformation-template-update-stack.json")
    assert template_of(None) == packaged


def test_of_the_stacks_of_a_cdk_app_the_one_with_the_websocket_api_is_taken():
    place("cdk.out/Data.template.json", BUCKETS)
    place("cdk.out/Jobs.template.json", FUNCTIONS)
    chat = place("cdk.out/Chat.template.json", '{"Type": "AWS::ApiGatewayV2::Api", "ProtocolType": "WEBSOCKET"}')
    assert template_of(None) == chat


def test_several_that_may_be_meant_are_listed():
    place("cdk.out/One.template.json", FUNCTIONS)
    place("cdk.out/Two.template.json", FUNCTIONS)
    with pytest.raises(TemplateError) as refusal:
        template_of(None)
    assert str(refusal.value).splitlines()[1:] == [
        "  --template cdk.out/One.template.json",
        "  --template cdk.out/Two.template.json",
    ]


def test_one_that_cannot_be_read_is_taken_so_that_its_reader_says_why():
    Path("template.yaml").write_bytes(b"\xff\xfe")
    place(".aws-sam/build/template.yaml")
    assert template_of(None) == Path("template.yaml")


@pytest.mark.parametrize("name", ["App.template.json", "cloudformation-template-update-stack.json", "sam.json"])
def test_a_command_may_name_the_folder_into_which_a_tool_writes(name):
    assert template_of(Path("out")) == Path("out"), "there is no such folder: its reader says so"
    path = place(f"out/{name}")
    assert template_of(Path("out")) == path
    assert template_of(path) == path


def test_without_any_it_says_what_it_looked_for_and_where(folder):
    with pytest.raises(TemplateError) as refusal:
        template_of(None)
    said = str(refusal.value)
    assert said.startswith(f"There is no template in {folder}. Looked for template.yaml, template.yml, ")
    assert "cdk.out/*.template.json" in said
    assert ".serverless/cloudformation-template-update-stack.json and .aws-sam/build/template.yaml." in said
    assert said.endswith("Name a template with --template.")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("serverless.yml", "There is serverless.yml: run `serverless package` first."),
        ("serverless.ts", "There is serverless.ts: run `serverless package` first."),
        ("cdk.json", "There is cdk.json: run `cdk synth` first."),
        (".chalice/config.json", "There is .chalice/config.json: run `chalice package packaged`, then name "),
        ("main.tf", "There is main.tf; Terraform is not read: "),
    ],
)
def test_it_names_the_step_that_is_missing(name, hint):
    place(name, "")
    with pytest.raises(TemplateError) as refusal:
        template_of(None)
    assert hint in str(refusal.value)


def test_a_folder_of_the_name_of_a_template_is_none():
    Path("template.yaml").mkdir()
    with pytest.raises(TemplateError, match="no template"):
        template_of(None)


def test_the_commands_say_so_in_one_line():
    result = CliRunner().invoke(main, ["template"])
    assert result.exit_code == 1
    assert result.output.startswith("parley: There is no template in ")
    assert result.output.count("\n") == 1
    place("template.yaml")
    shown = CliRunner().invoke(main, ["template", "--template", "."])
    assert (shown.exit_code, "WebSocket API Api" in shown.output) == (0, True)
