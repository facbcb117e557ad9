"""The evaluation of policies, compared with MiniStack's on generated policies and requests."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ministack.core import iam_evaluator as ministack
from parley.iam.policies import Decision, Request, decide, statements

ACCOUNT, REGION, ROLE = "000000000000", "us-east-1", "arn:aws:iam::000000000000:role/worker"
ACTIONS = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "sqs:SendMessage", "lambda:InvokeFunction"]
RESOURCES = [
    "arn:aws:dynamodb:us-east-1:000000000000:table/Users",
    "arn:aws:dynamodb:us-east-1:000000000000:table/Users/index/byName",
    "arn:aws:sqs:us-east-1:000000000000:jobs",
    "arn:aws:lambda:us-east-1:000000000000:function:Deliver:live",
]


@st.composite
def patterns(draw, texts):
    """A text of these, some of whose characters are replaced by wildcards, or some of whose case is changed."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 12)))
        text = text[:start] + draw(st.sampled_from(["*", "?", "", "**", text[start:end].swapcase()])) + text[end:]
    return text


REGIONS = st.sampled_from([REGION, "eu-west-1", "us-*", "US-EAST-1", "*"])
CONDITIONS = st.one_of(
    st.builds(
        lambda operator, values: {operator: {"aws:RequestedRegion": values}},
        st.sampled_from(
            [
                *("StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIgnoreCase"),
                *("StringEqualsIfExists", "ForAnyValue:StringLike", "ForAllValues:StringNotEquals"),
            ]
        ),
        st.lists(REGIONS, min_size=1, max_size=3),
    ),
    st.builds(
        lambda operator, values: {operator: {"aws:PrincipalArn": values}},
        st.sampled_from(["ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"]),
        # Six parts with a wildcard in one of them: MiniStack lets a wildcard reach over colons, which AWS does not.
        st.lists(
            st.sampled_from([ROLE, "arn:aws:iam::*:role/worker", "arn:aws:iam::000000000000:role/w?rk*"]), min_size=1
        ),
    ),
    st.builds(
        lambda operator, value: {operator: {"aws:EpochTime": value}},
        st.sampled_from(["NumericLessThan", "NumericGreaterThanEquals", "NumericNotEquals", "DateLessThan"]),
        st.sampled_from(["0", "1000000000", "4000000000"]),
    ),
    st.builds(
        lambda key, value: {"Null": {key: value}},
        st.sampled_from(["aws:RequestedRegion", "kms:ViaService"]),
        st.sampled_from(["true", "false"]),
    ),
    st.builds(
        lambda operator, value: {operator: {"kms:ViaService": value}},
        st.sampled_from(["StringEquals", "StringNotEquals", "StringEqualsIfExists", "ForAllValues:StringEquals"]),
        st.just("ssm.us-east-1.amazonaws.com"),
    ),
)


@st.composite
def policy_statements(draw):
    statement = {
        "Effect": draw(st.sampled_from(["Allow", "Allow", "Deny"])),
        draw(st.sampled_from(["Action", "Action", "NotAction"])): draw(
            st.lists(patterns(ACTIONS), min_size=1, max_size=3)
        ),
        draw(st.sampled_from(["Resource", "Resource", "NotResource"])): draw(
            st.lists(patterns(RESOURCES), min_size=1, max_size=3)
        ),
    }
    if condition := draw(st.one_of(st.none(), CONDITIONS)):
        statement["Condition"] = condition
    return statement


POLICIES = st.lists(policy_statements(), max_size=4)
OURS = {
    Decision.ALLOWED: "Allow",
    Decision.DENIED: "Deny",
    Decision.DENIED_BY_BOUNDARY: "Deny",
    Decision.NOT_ALLOWED: "ImplicitDeny",
    Decision.NOT_ALLOWED_BY_BOUNDARY: "ImplicitDeny",
}


@pytest.mark.full
@settings(max_examples=250, deadline=None)
@given(POLICIES, st.one_of(st.none(), POLICIES), st.sampled_from(ACTIONS), st.sampled_from(RESOURCES))
def test_both_come_to_the_same_decision(policy, boundary, action, resource):
    context = {
        "aws:requestedregion": (REGION,),
        "aws:principalarn": (ROLE,),
        "aws:epochtime": ("1795780000",),
    }
    limits = None if boundary is None else statements({"Statement": boundary})
    ours = decide(Request(action, (resource,), context), statements({"Statement": policy}), limits)

    asked = ministack.EvalContext(ROLE, "AssumedRole", ACCOUNT, action, resource, REGION)
    parsed = [ministack.parse_policy_document({"Statement": policy})]
    theirs = [] if boundary is None else [[ministack.parse_policy_document({"Statement": boundary})]]
    assert OURS[ours] == ministack.evaluate(asked, parsed, *theirs).decision
