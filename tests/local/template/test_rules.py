"""Rules, schedules and subscriptions in templates."""

import textwrap

import pytest
from parley.template.model import Subscription, Target
from parley.template.reader import read

F = "arn:aws:lambda:us-east-1:000000000000:function:F"


@pytest.fixture
def template(tmp_path):
    """Return a function that reads a template with the function `F` of these events, and these resources."""
    (tmp_path / "app").mkdir()

    def written(events: str = "", resources: str = "", alias: str = ""):
        path = tmp_path / "template.yaml"
        path.write_text(
            "Resources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n"
            f"      {{Handler: app.f, CodeUri: app, FunctionUrlConfig: {{AuthType: NONE}}{alias},\n"
            f"      Events: {{{events}}}}}\n{textwrap.indent(textwrap.dedent(resources), '  ')}"
        )
        return read(path)

    return written


def said(found):
    return [note.partition(": ")[2] for note in found.notes]


@pytest.mark.parametrize(
    ("event", "expression", "scheduler", "name"),
    [
        ("Tick: {Type: Schedule, Properties: {Schedule: rate(1 minute)}}", "rate(1 minute)", False, "FTick"),
        (
            "Tick: {Type: Schedule, Properties: {Schedule: cron(0 1 * * ? *), Name: nightly, State: ENABLED, "
            "Description: x, RetryPolicy: {MaximumRetryAttempts: 1}}}",
            *("cron(0 1 * * ? *)", False, "nightly"),
        ),
        (
            "Tick: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(1 minutes), "
            "ScheduleExpressionTimezone: Europe/Rome, FlexibleTimeWindow: {Mode: 'OFF'}}}",
            *("rate(1 minutes)", True, "FTick"),
        ),
    ],
)
def test_a_schedule_of_sams(template, event, expression, scheduler, name):
    found = template(event)
    [rule] = found.rules
    assert (rule.expression, rule.is_scheduler, rule.name) == (expression, scheduler, name)
    assert rule.names == (name, "FTick", "Tick")
    assert rule.targets == (Target(F),)
    assert rule.schedule.after(0.0)
    assert said(found) == []


@pytest.mark.parametrize("off", ["Enabled: false", "State: DISABLED"])
def test_one_that_is_disabled_is_none(template, off):
    found = template(f"Tick: {{Type: Schedule, Properties: {{Schedule: rate(1 minute), {off}}}}}")
    assert (found.rules, said(found)) == ((), [])


def test_one_that_aws_would_refuse_is_said(template):
    found = template("Tick: {Type: Schedule, Properties: {Schedule: rate(1 minutes)}}")
    assert found.rules == ()
    assert said(found) == [
        "`F.Events.Tick.Properties`: AWS would refuse this rule: rate(…) has the singular for 1, and the plural "
        "otherwise; ignored."
    ]


def test_an_alias_is_what_is_invoked(template):
    found = template("Tick: {Type: Schedule, Properties: {Schedule: rate(1 minute)}}", alias=", AutoPublishAlias: live")
    assert found.rules[0].targets == (Target(f"{F}:live"),)


def test_a_rule_by_a_pattern_of_sams(template):
    found = template(
        "Placed: {Type: EventBridgeRule, Properties: "
        "{Pattern: {source: [my.app]}, EventBusName: !Ref Bus, InputPath: $.detail}}",
        "Bus: {Type: AWS::Events::EventBus, Properties: {Name: orders}}",
    )
    [rule] = found.rules
    assert (rule.pattern, rule.bus, rule.schedule) == ({"source": ["my.app"]}, "orders", None)
    assert rule.arn == "arn:aws:events:us-east-1:000000000000:rule/orders/FPlaced"
    assert rule.targets == (Target(F, path="$.detail"),)
    assert found.buses == ("default", "orders")
    assert said(found) == []


def test_rules_of_cloudformation(template):
    found = template(
        resources="""
        Nightly:
          Type: AWS::Events::Rule
          Properties:
            ScheduleExpression: cron(0 1 * * ? *)
            State: ENABLED
            Targets:
              - {Id: a, Arn: !GetAtt F.Arn, Input: '{"a": 1}'}
              - {Id: b, Arn: !GetAtt Q.Arn, InputTransformer: {InputPathsMap: {t: $.time}, InputTemplate: '{"t": <t>}'}}
              - {Id: c, Arn: 'arn:aws:states:us-east-1:1:stateMachine:x'}
        Hourly:
          Type: AWS::Scheduler::Schedule
          Properties:
            Name: hourly
            ScheduleExpression: rate(1 hour)
            FlexibleTimeWindow: {Mode: 'OFF'}
            Target: {Arn: !GetAtt F.Arn, RoleArn: r, Input: x, RetryPolicy: {MaximumRetryAttempts: 0}}
        Q: {Type: AWS::SQS::Queue}
        """
    )
    nightly, hourly = found.rules
    assert nightly.targets == (
        Target(F, input='{"a": 1}'),
        Target("arn:aws:sqs:us-east-1:000000000000:Q", template='{"t": <t>}', paths={"t": "$.time"}),
    )
    assert nightly.names == ("Nightly", "Nightly")
    assert (hourly.arn, hourly.targets) == (
        "arn:aws:scheduler:us-east-1:000000000000:schedule/default/hourly",
        (Target(F, input="x"),),
    )
    assert said(found) == [
        "`Nightly.Targets`: arn:aws:states:us-east-1:1:stateMachine:x is neither an emulated function nor a queue; "
        "ignored."
    ]


@pytest.mark.parametrize("pattern", ["{source: my.app}", "'{'", "{detail: {a: [{contains: b}]}}"])
def test_a_pattern_that_eventbridge_refuses_is_said(template, pattern):
    found = template(f"Placed: {{Type: EventBridgeRule, Properties: {{Pattern: {pattern}}}}}")
    assert found.rules == ()
    assert "AWS would refuse this rule" in said(found)[0]


TOPIC = "arn:aws:sns:us-east-1:000000000000:T"


@pytest.mark.parametrize(
    ("event", "resources", "filters"),
    [
        ("News: {Type: SNS, Properties: {Topic: !Ref T}}", "T: {Type: AWS::SNS::Topic}", {}),
        (
            "News: {Type: SNS, Properties: {Topic: !Ref T, FilterPolicy: {kind: [a]}, FilterPolicyScope: MessageBody}}",
            "T: {Type: AWS::SNS::Topic}",
            {"FilterPolicyScope": "MessageBody", "FilterPolicy": '{"kind": ["a"]}'},
        ),
        (
            "",
            "T: {Type: AWS::SNS::Topic, Properties: {Subscription: [{Protocol: lambda, Endpoint: !GetAtt F.Arn}]}}",
            {},
        ),
        (
            "",
            "T: {Type: AWS::SNS::Topic}\n"
            "S: {Type: AWS::SNS::Subscription, "
            "Properties: {TopicArn: !Ref T, Protocol: lambda, Endpoint: !GetAtt F.Arn}}",
            {},
        ),
    ],
)
def test_a_function_that_gets_the_messages_of_a_topic(template, event, resources, filters):
    found = template(event, resources)
    assert found.subscriptions == (Subscription(TOPIC, F, protocol="lambda", filters=filters),)
    assert said(found) == []


def test_a_function_that_is_not_here_gets_none(template):
    found = template(
        resources="""
        T: {Type: AWS::SNS::Topic}
        S:
          Type: AWS::SNS::Subscription
          Properties: {TopicArn: !Ref T, Protocol: lambda, Endpoint: 'arn:aws:lambda:us-east-1:1:function:G'}
        """
    )
    assert found.subscriptions == ()
    assert said(found) == [
        "`S`: only queues and functions get the messages of topics, this is no emulated function; ignored."
    ]
