"""Policy evaluation: the order of decisions, wildcards, conditions."""

import pytest
from parley.iam.policies import Decision, InvalidPolicy, Request, decide, depends_on_time, statements, valid_statements

TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table/Users"
CONTEXT = {
    "aws:principalaccount": ("000000000000",),
    "aws:principalarn": ("arn:aws:iam::000000000000:role/reader",),
    "aws:requestedregion": ("us-east-1",),
    "aws:securetransport": ("true",),
    "aws:currenttime": ("2026-11-26T12:00:00+00:00",),
    "aws:epochtime": ("1795780000",),
}


def allow(action="dynamodb:GetItem", resource=TABLE, **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action="dynamodb:GetItem", resource=TABLE, **more):
    return allow(action, resource, **more) | {"Effect": "Deny"}


def decided(*policy, action="dynamodb:GetItem", resource=TABLE, boundary=None):
    limits = None if boundary is None else statements({"Statement": boundary})
    return decide(Request(action, (resource,), CONTEXT), statements({"Statement": list(policy)}), limits)


def allows(*policy, **request):
    return decided(*policy, **request) is Decision.ALLOWED


class TestOrder:
    def test_nothing_is_allowed_by_itself(self):
        assert decided() is Decision.NOT_ALLOWED

    def test_an_allow_is_enough(self):
        assert decided(allow("s3:GetObject"), allow()) is Decision.ALLOWED

    @pytest.mark.parametrize("policy", [(allow(), deny()), (deny(), allow())])
    def test_a_deny_outweighs_every_allow(self, policy):
        assert decided(*policy) is Decision.DENIED

    def test_a_boundary_must_allow_too(self):
        assert decided(allow(), boundary=[allow("sqs:*", "*")]) is Decision.NOT_ALLOWED_BY_BOUNDARY
        assert decided(allow(), boundary=[allow("*", "*")]) is Decision.ALLOWED

    def test_a_boundary_allows_nothing_by_itself(self):
        assert decided(boundary=[allow()]) is Decision.NOT_ALLOWED

    def test_a_deny_of_the_boundary_counts(self):
        assert decided(allow(), boundary=[allow("*", "*"), deny()]) is Decision.DENIED_BY_BOUNDARY


class TestWildcards:
    @pytest.mark.parametrize("action", ["*", "dynamodb:*", "dynamodb:Get*", "dynamodb:?etItem", "DYNAMODB:getitem"])
    def test_an_action_matches_in_any_case(self, action):
        assert allows(allow(action))

    @pytest.mark.parametrize("action", ["dynamodb:Get", "dynamodb:GetItems", "dynamodb:GetItem?", "dynamo:*", ""])
    def test_an_action_matches_as_a_whole(self, action):
        assert not allows(allow(action))

    @pytest.mark.parametrize(
        "resource",
        ["*", "arn:*", "arn:aws:dynamodb:*:*:table/*", "arn:aws:dynamodb:us-east-1:000000000000:table/User?"],
    )
    def test_a_resource_matches(self, resource):
        assert allows(allow(resource=resource))

    @pytest.mark.parametrize(
        "resource", [TABLE.lower(), f"{TABLE}/index/*", f"{TABLE}?", "arn:aws:dynamodb:*:table/User"]
    )
    def test_a_resource_does_not_match(self, resource):
        assert not allows(allow(resource=resource))

    def test_an_index_is_another_resource_than_its_table(self):
        assert not allows(allow("dynamodb:Query"), action="dynamodb:Query", resource=f"{TABLE}/index/byName")
        assert allows(
            allow("dynamodb:Query", f"{TABLE}/index/*"), action="dynamodb:Query", resource=f"{TABLE}/index/byName"
        )

    def test_characters_of_regular_expressions_mean_themselves(self):
        assert not allows(allow(resource="arn:aws:dynamodb:us.east.1:000000000000:table/Users"))

    def test_the_variable_of_a_wildcard_is_the_character(self):
        assert not allows(allow(resource="arn:aws:dynamodb:us-east-1:000000000000:table/${*}"))
        assert allows(allow(resource="a${*}"), resource="a*")


class TestNegation:
    def test_not_action_is_about_every_other_action(self):
        policy = {"Effect": "Allow", "NotAction": ["dynamodb:Delete*"], "Resource": "*"}
        assert allows(policy)
        assert not allows(policy, action="dynamodb:DeleteItem")

    def test_not_resource_is_about_every_other_resource(self):
        policy = {"Effect": "Deny", "Action": "*", "NotResource": TABLE}
        assert allows(allow("*", "*"), policy)
        assert decided(allow("*", "*"), policy, resource=f"{TABLE}2") is Decision.DENIED


class TestConditions:
    @pytest.mark.parametrize(
        "condition",
        [
            {"StringEquals": {"aws:RequestedRegion": ["eu-west-1", "us-east-1"]}},
            {"StringEqualsIgnoreCase": {"AWS:RequestedRegion": "US-EAST-1"}},
            {"StringLike": {"aws:RequestedRegion": "us-*"}},
            {"StringNotEquals": {"aws:RequestedRegion": "eu-west-1"}},
            {"StringNotLike": {"aws:RequestedRegion": ["eu-*", "ap-*"]}},
            {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*"}},
            {"ArnNotEquals": {"aws:PrincipalArn": "arn:aws:iam::*:role/writer"}},
            {"Bool": {"aws:SecureTransport": True}},
            {"NumericGreaterThan": {"aws:EpochTime": "1700000000"}},
            {"DateGreaterThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}},
            {"DateLessThan": {"aws:CurrentTime": "2027-01-01T00:00:00Z"}},
            {"Null": {"kms:ViaService": "true"}},
            {"StringEqualsIfExists": {"kms:ViaService": "ssm.us-east-1.amazonaws.com"}},
            {"StringNotEquals": {"kms:ViaService": "ssm.us-east-1.amazonaws.com"}},
            {"ForAnyValue:StringEquals": {"aws:RequestedRegion": ["us-east-1"]}},
            {"ForAllValues:StringEquals": {"kms:ViaService": ["x"]}},
            {"StringEquals": {"aws:PrincipalAccount": "${aws:ResourceAccount, '000000000000'}"}},
        ],
    )
    def test_it_is_met(self, condition):
        assert allows(allow(Condition=condition))

    @pytest.mark.parametrize(
        "condition",
        [
            {"StringEquals": {"aws:RequestedRegion": "US-EAST-1"}},
            {"StringEquals": {"aws:RequestedRegion": "us-*"}},
            {"StringNotEquals": {"aws:RequestedRegion": ["eu-west-1", "us-east-1"]}},
            {"ArnLike": {"aws:PrincipalArn": "arn:aws:*:reader"}},
            {"Bool": {"aws:SecureTransport": "false"}},
            {"NumericLessThan": {"aws:EpochTime": "1700000000"}},
            {"NumericLessThan": {"aws:EpochTime": "soon"}},
            {"DateLessThan": {"aws:CurrentTime": "2026-11-26T12:00:00Z"}},
            {"DateLessThan": {"aws:CurrentTime": "9" * 20}},
            {"Null": {"aws:RequestedRegion": "true"}},
            {"StringEquals": {"kms:ViaService": "ssm.us-east-1.amazonaws.com"}},
            {"ForAnyValue:StringEquals": {"kms:ViaService": ["x"]}},
            {"Bool": {"aws:SecureTransport": "true"}, "StringEquals": {"aws:RequestedRegion": "eu-west-1"}},
        ],
    )
    def test_it_is_not_met(self, condition):
        assert not allows(allow(Condition=condition))

    @pytest.mark.parametrize(
        "condition", [{"StringMatches": {"aws:RequestedRegion": "x"}}, {"StringEquals": {"aws:PrincipalTag/team": "x"}}]
    )
    def test_an_unknown_one_is_taken_in_favour_of_the_function_and_is_named(self, condition):
        assert allows(allow(Condition=condition))
        assert allows(allow(), deny(Condition=condition))
        assert list(statements({"Statement": allow(Condition=condition)})[0].unknown())

    def test_a_resource_may_name_the_caller(self):
        policy = allow(resource="arn:aws:dynamodb:us-east-1:${aws:PrincipalAccount}:table/Users")
        assert allows(policy)
        assert not list(statements({"Statement": policy})[0].unknown())

    def test_a_variable_without_a_value_matches_nothing(self):
        assert not allows(allow(resource="arn:aws:dynamodb:*:*:table/${kms:ViaService}"))


@pytest.mark.parametrize(
    ("statement", "depends"),
    [
        (allow(Condition={"DateLessThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}}), True),
        (deny(Condition={"NumericGreaterThan": {"AWS:EpochTime": "1"}}), True),
        (allow(Condition={"StringEquals": {"aws:RequestedRegion": "${aws:EpochTime}"}}), True),
        (allow(resource=f"{TABLE}-${{aws:CurrentTime}}"), True),
        (allow(Condition={"StringEquals": {"aws:RequestedRegion": "us-east-1"}}), False),
        (allow(), False),
    ],
)
def test_a_decision_depends_on_the_time_if_a_condition_or_a_variable_does(statement, depends):
    assert depends_on_time(statements({"Statement": [allow(), statement]})) is depends


def test_a_resource_that_is_not_known_matches_every_statement_that_allows():
    request = Request("sns:Publish", ())
    policy = statements(
        {"Statement": [allow("sns:Publish", "arn:aws:sns:*:*:one"), deny("sns:*", "arn:aws:sns:*:*:two")]}
    )
    assert decide(request, policy) is Decision.ALLOWED


class TestFullyKnown:
    """A request whose context has every key that AWS would have."""

    @staticmethod
    def decided(*policy):
        request = Request("dynamodb:GetItem", (TABLE,), CONTEXT, is_fully_known=True)
        return decide(request, statements({"Statement": list(policy)}))

    @pytest.mark.parametrize("key", ["aws:SourceIp", "aws:PrincipalTag/team", "custom:key"])
    def test_a_key_that_is_not_there_is_missing_and_nothing_else(self, key):
        condition = {"StringEquals": {key: "x"}}
        assert self.decided(allow(Condition=condition)) is Decision.NOT_ALLOWED
        assert self.decided(allow(), deny(Condition=condition)) is Decision.ALLOWED
        assert self.decided(allow(), deny(Condition={"StringNotEquals": {key: "x"}})) is Decision.DENIED
        assert self.decided(allow(Condition={"StringEqualsIfExists": {key: "x"}})) is Decision.ALLOWED


class TestValidity:
    @pytest.mark.parametrize(
        "statement",
        [
            allow(),
            [],
            [allow(), deny()],
            allow(["a:b", "c:*"], ["*"]),
            {"Effect": "Allow", "NotAction": "a:b", "NotResource": ["x"]},
            allow(Condition={}),
            allow(Condition={"Bool": {"aws:SecureTransport": True}, "NumericLessThan": {"aws:EpochTime": [1, 2.5]}}),
            allow(Condition={"ForAnyValue:StringLikeIfExists": {"any:key": "x"}}),
            allow(Sid="A", Comment="an unknown element"),
        ],
    )
    def test_a_valid_one_has_its_statements(self, statement):
        document = {"Version": "2012-10-17", "Statement": statement}
        assert valid_statements(document) == statements(document)

    @pytest.mark.parametrize("document", [None, "Allow", [], {}, {"Statement": None}, {"Statement": "Allow"}])
    def test_what_is_no_document_is_refused(self, document):
        with pytest.raises(InvalidPolicy, match="no Statement"):
            valid_statements(document)

    @pytest.mark.parametrize(
        ("statement", "why"),
        [
            ({"Action": "*", "Resource": "*"}, "Effect"),
            (allow() | {"Effect": "allow"}, "Effect"),
            (allow() | {"Effect": None}, "Effect"),
            ({"Effect": "Allow", "Resource": "*"}, "either Action or NotAction"),
            (allow(NotAction="a:b"), "either Action or NotAction"),
            ({"Effect": "Allow", "Action": "*"}, "either Resource or NotResource"),
            (allow(NotResource="*"), "either Resource or NotResource"),
            (allow(action=None), "the Action"),
            (allow(action=[]), "the Action"),
            (allow(resource=[["*"]]), "the Resource"),
            (allow(resource=7), "the Resource"),
            (allow(Condition="x"), "the Condition"),
            (allow(Condition=None), "the Condition"),
            (allow(Condition={"StringMatches": {"aws:SourceIp": "x"}}), "no condition operator 'StringMatches'"),
            (allow(Condition={"StringEquals": "x"}), "the condition StringEquals"),
            (allow(Condition={"StringEquals": {"aws:SourceIp": {"a": 1}}}), "the condition StringEquals"),
            ("Allow", "no object"),
        ],
    )
    def test_each_statement_must_be_complete(self, statement, why):
        for policy in ([statement], [allow(), statement]):
            with pytest.raises(InvalidPolicy, match=why):
                valid_statements({"Version": "2012-10-17", "Statement": policy})

    def test_the_version_is_one_of_two(self):
        assert valid_statements({"Version": "2008-10-17", "Statement": allow()})
        with pytest.raises(InvalidPolicy, match="Version"):
            valid_statements({"Version": "2026-01-01", "Statement": allow()})
