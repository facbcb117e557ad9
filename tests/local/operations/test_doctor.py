"""`parley doctor`: each thing that can be known to be wrong, with the next step."""

from __future__ import annotations

import textwrap

import pytest
from parley.operations.access import Access
from parley.operations.doctor import examine
from parley.operations.findings import Level
from parley.operations.samconfig import StageConfig

TEMPLATE = """
    Parameters:
      Key: {Type: String, NoEcho: true, AllowedPattern: "sk-.+", ConstraintDescription: "a key.", Description: The key.}
      Chars: {Type: String, Default: "10", AllowedPattern: "[1-9][0-9]{0,2}", ConstraintDescription: "1 to 999."}
      Reserved: {Type: Number, Default: 0, MinValue: 0}
    Conditions:
      Reserves: !Not [!Equals [!Ref Reserved, 0]]
    Resources:
      WebSocketApi:
        Type: AWS::Serverless::WebSocketApi
        Properties: {DefaultRouteSettings: {ThrottlingRateLimit: 500, ThrottlingBurstLimit: 1000}}
      HttpApi:
        Type: AWS::Serverless::HttpApi
        Properties: {DefaultRouteSettings: {ThrottlingRateLimit: 100, ThrottlingBurstLimit: 200}}
      WorkerFunction:
        Type: AWS::Serverless::Function
        Properties:
          ReservedConcurrentExecutions: !If [Reserves, !Ref Reserved, !Ref AWS::NoValue]
"""
GOOD = {"Key": "sk-1"}


@pytest.fixture
def template(tmp_path):
    path = tmp_path / "template.yaml"
    path.write_text(textwrap.dedent(TEMPLATE))
    return path


@pytest.fixture
def examined(template, account, tmp_path):
    def examined(values=GOOD, *, stack="parley-dev", access=None, guided=False):
        config = StageConfig("dev", tmp_path / "samconfig.toml", stack, None, None, values)
        return list(examine(config, template, {}, access or Access.found(), is_guided=guided))

    return examined


def errors(findings):
    return [f"{each.text} {each.step}" for each in findings if each.level is Level.ERROR]


def warnings(findings):
    return [f"{each.text} {each.step}" for each in findings if each.level is Level.WARNING]


def test_a_good_stage_has_no_findings_but_good_ones(examined):
    found = examined()
    assert [each.level for each in found] == [Level.OK] * 7
    assert found[2].text == "Credentials: account 123456789012, arn:aws:iam::123456789012:user/operator"


def test_it_changes_nothing(examined, account):
    examined()
    assert account.calls == [
        "sts:GetCallerIdentity",
        "cloudformation:DescribeStacks",
        "lambda:GetAccountSettings",
        "servicequotas:GetServiceQuota",
        "servicequotas:GetAWSDefaultServiceQuota",
    ]


class TestName:
    @pytest.mark.parametrize("name", ["a", "parley-dev", "A" * 128])
    def test_good_ones(self, examined, name):
        assert errors(examined(stack=name)) == []

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("a" * 129, "has 129 characters. Shorten stack_name to 128 characters."),
            ("1parley", "cannot be the name of a stack. Start stack_name with a letter"),
            ("parley_dev", "cannot be the name of a stack."),
        ],
    )
    def test_bad_ones(self, examined, name, said):
        [error] = errors(examined(stack=name))
        assert said in error


class TestAccount:
    def test_no_region(self, examined, monkeypatch):
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        [error] = errors(examined())
        assert error.startswith("Region: none. No AWS region is set. Name one: export AWS_DEFAULT_REGION=eu-central-1")

    def test_a_wrong_region(self, examined, account):
        [error] = errors(examined(access=Access.found("eu-centrl-1")))
        assert error.startswith("Region: eu-centrl-1 is not a region with Lambda. Set AWS_DEFAULT_REGION to one of ")
        assert account.calls == []

    def test_no_credentials(self, examined, monkeypatch, tmp_path):
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
            monkeypatch.setenv(name, str(tmp_path / "none"))
        [error] = errors(examined())
        assert error.startswith("Credentials: not usable. No AWS credentials were found. Log in (aws configure, ")

    def test_refused_credentials(self, examined, monkeypatch):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDSOMEBODYELSE")
        [error] = errors(examined())
        assert "AWS refuses the credentials (InvalidClientTokenId). Log in again" in error

    def test_no_network(self, examined, monkeypatch):
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        [error] = errors(examined())
        assert "no answer from http://127.0.0.1:9/. Check the region, the network and the proxy." in error

    def test_parameters_are_checked_even_without_an_account(self, examined, monkeypatch):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDSOMEBODYELSE")
        assert len(errors(examined({"Chars": "1000"}))) == 2


class TestParameters:
    def test_one_out_of_bounds(self, examined):
        [error] = errors(examined({**GOOD, "Chars": "1000"}))
        assert error.endswith(
            "samconfig.toml, [dev.deploy.parameters]: parameter Chars does not accept '1000'. Give 1 to 999."
        )

    def test_a_secret_is_not_shown(self, examined):
        [error] = errors(examined({"Key": "my secret"}))
        assert "parameter Key does not accept its value. Give a key." in error
        assert "my secret" not in error

    def test_one_that_the_template_does_not_have(self, examined):
        [error] = errors(examined({**GOOD, "Charz": "1"}))
        assert "the template has no parameter Charz. Remove Charz, or correct its name." in error

    def test_one_without_a_value_is_needed_once(self, examined, account):
        [error] = errors(examined({}))
        assert error.startswith("Parameter Key has no value: The key. make deploy … PARAMETERS='Key=…' sets it")
        assert errors(examined({}, guided=True)) == []
        deployed(account, TEMPLATE, Key="sk-1")
        assert errors(examined({})) == []


class TestRules:
    RULES = """
    Rules:
      One:
        Assertions:
          - Assert: !Or [!Equals [!Ref Secret, ""], !Equals [!Ref Url, ""]]
            AssertDescription: Set either Secret or Url.
    Parameters:
      Secret: {Type: String, NoEcho: true, Default: ""}
      Url: {Type: String, Default: ""}
    Resources:
      WebSocketApi: {Type: "AWS::Serverless::WebSocketApi"}
    """

    @pytest.fixture
    def template(self, tmp_path):
        path = tmp_path / "template.yaml"
        path.write_text(textwrap.dedent(self.RULES))
        return path

    def test_values_that_do_not_fit_together(self, examined):
        [error] = errors(examined({"Secret": "s", "Url": "u"}))
        assert error.endswith(": Set either Secret or Url. The template's rule One wants that.")
        assert errors(examined({"Url": "u"})) == []

    def test_a_secret_of_an_earlier_deployment_is_nothing_that_doctor_knows(self, examined, account):
        """CloudFormation shows `****` for it, even if it is empty."""
        deployed(account, self.RULES, Url="u")
        assert errors(examined({"Url": "u"})) == []


class TestQuotas:
    def test_a_small_account_is_told_what_it_can_do(self, examined, account):
        account.concurrency = 10
        [warning] = warnings(examined())
        assert warning.startswith("Lambda: the account may run 10 executions at once. Each running reply takes one")

    @pytest.mark.parametrize(("reserved", "is_refused"), [("0", False), ("50", False), ("900", False), ("901", True)])
    def test_a_hundred_executions_stay_unreserved(self, examined, reserved, is_refused):
        found = errors(examined({**GOOD, "Reserved": reserved}))
        assert bool(found) is is_refused
        assert all("the template reserves 901" in each and "the account has 900 to reserve" in each for each in found)

    def test_a_small_account_cannot_reserve_anything(self, examined, account):
        account.concurrency = 10
        [error] = errors(examined({**GOOD, "Reserved": "1"}))
        assert "the account has 0 to reserve (quota 10, of which 100 must stay unreserved)" in error
        assert "Set the parameters of the reserved concurrency to 0" in error

    def test_what_the_stack_has_reserved_already_is_not_counted_twice(self, examined, account):
        deployed(account, TEMPLATE, Key="sk-1", Reserved="800")
        account.unreserved = 200
        assert errors(examined({**GOOD, "Reserved": "900"})) == []
        assert len(errors(examined({**GOOD, "Reserved": "901"}))) == 1

    def test_storage_for_code(self, examined, account):
        account.code_size = 75 * 1024**3 - 1024**2
        [error] = errors(examined())
        assert error == "Lambda: 1 MiB of storage for code are left. Delete functions or versions in this region."

    def test_throttles_over_the_accounts_rate(self, examined, account):
        account.rate = 500.0
        [warning] = warnings(examined())
        assert warning.startswith(
            "API Gateway: the stages allow 600 requests a second, the account 500 for all its APIs."
        )

    def test_what_the_credentials_may_not_read_is_said_and_no_obstacle(self, examined, account):
        account.denied = {"lambda:GetAccountSettings", "servicequotas:GetServiceQuota"}
        found = examined()
        assert errors(found) == []
        assert [each.split(". ")[0] for each in warnings(found)] == [
            "Lambda's concurrency: not checked",
            "API Gateway's quota of requests: not checked",
        ]


class TestStack:
    @pytest.mark.parametrize(
        ("status", "level", "said"),
        [
            ("CREATE_COMPLETE", Level.OK, ""),
            ("UPDATE_ROLLBACK_COMPLETE", Level.OK, ""),
            ("REVIEW_IN_PROGRESS", Level.WARNING, "an earlier deployment stopped before it created anything."),
            ("ROLLBACK_COMPLETE", Level.ERROR, "make remove STAGE=dev CONFIRM=parley-dev, then deploy again."),
            ("ROLLBACK_FAILED", Level.ERROR, "make remove STAGE=dev CONFIRM=parley-dev, then deploy again."),
            ("CREATE_FAILED", Level.ERROR, "what it had created is still there."),
            ("DELETE_FAILED", Level.ERROR, "its removal stopped half-way: some resources could not be deleted."),
            ("UPDATE_ROLLBACK_FAILED", Level.ERROR, "aws cloudformation continue-update-rollback"),
            ("UPDATE_IN_PROGRESS", Level.ERROR, "somebody changes it now. Wait until that ends."),
            ("DELETE_IN_PROGRESS", Level.ERROR, "Wait until that ends."),
        ],
    )
    def test_each_state_has_a_next_step(self, examined, account, status, level, said):
        deployed(account, TEMPLATE, Key="sk-1").status = status
        [found] = [each for each in examined() if each.text.startswith("Stack parley-dev")]
        assert found.level is level
        assert status in found.text
        assert said in f"{found.text} {found.step}"

    def test_the_reason_of_a_failed_deployment_is_repeated(self, examined, account):
        account.stacks.failing = {"WorkerFunction": "The role cannot be assumed by Lambda. (Service: Lambda)"}
        deployed(account, TEMPLATE, Key="sk-1")
        [error] = errors(examined())
        assert "WorkerFunction (AWS::Serverless::Function): The role cannot be assumed by Lambda." in error


def deployed(account, template, **values):
    """Create the stack of the stage, and return it."""
    given = [{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()]
    body = textwrap.dedent(template)
    name = {"StackName": "parley-dev", "ChangeSetName": "first"}
    account.stacks.create_change_set({**name, "ChangeSetType": "CREATE", "TemplateBody": body, "Parameters": given})
    account.stacks.execute_change_set(name)
    return account.stacks.get("parley-dev")


class TestSecrets:
    TEMPLATE = TEMPLATE.replace('AllowedPattern: "sk-.+", ', "")

    @pytest.fixture
    def template(self, tmp_path):
        path = tmp_path / "template.yaml"
        path.write_text(textwrap.dedent(self.TEMPLATE))
        return path

    @pytest.mark.parametrize(
        ("value", "step"),
        [
            ("ssm:/parley/key", "aws ssm put-parameter --type SecureString --name /parley/key "),
            ("secretsmanager:parley/key", "aws secretsmanager create-secret --name parley/key "),
        ],
    )
    def test_one_that_is_only_named_must_exist(self, examined, account, value, step):
        [error] = errors(examined({"Key": value}))
        assert error.startswith(f"Key is {value}, and there is no such secret in eu-central-1. Create it: {step}")
        account.secrets = {value.partition(":")[2]}
        assert errors(examined({"Key": value})) == []

    def test_without_the_right_to_look_nothing_is_said_against_it(self, examined, account):
        account.denied = {"ssm:GetParameter"}
        assert errors(examined({"Key": "ssm:/parley/key"})) == []
        assert len(warnings(examined({"Key": "ssm:/parley/key"}))) == 1
