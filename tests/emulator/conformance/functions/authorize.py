"""The authorizer: the token says what it answers."""

from observed import keep

ELSEWHERE = {"IpAddress": {"aws:SourceIp": ["203.0.113.0/24"]}}
"""A condition that no client meets: the addresses are for documentation (RFC 5737)."""


def handler(event, context):
    keep(event, kind="AUTHORIZE")
    return ANSWERS.get(event["queryStringParameters"]["token"], allow)(event)


def policy(event, *statements):
    """Return an answer. A statement is what it has besides the invocation of this API, or instead of it."""
    whole = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": event["methodArn"]}
    return {
        "principalId": "alice",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {name: value for name, value in (whole | each).items() if f"Not{name}" not in each}
                for each in statements
            ],
        },
    }


def allow(event):
    return policy(event, {}) | {"context": {"text": "x", "number": 1, "truth": True}}


def fail(event):
    raise RuntimeError("asked for")


def refuse(event):
    raise RuntimeError("Unauthorized")


ANSWERS = {
    "unauthorized": refuse,
    "raise": fail,
    "object": lambda event: {"isAuthorized": True},
    "long": lambda event: policy(event, {}) | {"context": {"long": "x" * 9_000}},
    "deny": lambda event: policy(event, {"Effect": "Deny"}),
    "from-elsewhere": lambda event: policy(event, {"Condition": ELSEWHERE}),
    "not-from-elsewhere": lambda event: policy(event, {}, {"Effect": "Deny", "Condition": ELSEWHERE}),
    "not-elsewhere": lambda event: policy(event, {}, {"Effect": "Deny", "NotResource": event["methodArn"]}),
    "not-management": lambda event: policy(event, {"NotAction": "execute-api:ManageConnections"}),
    "nobody": lambda event: {"policyDocument": policy(event, {})["policyDocument"]},
    "text": lambda event: "Unauthorized",
}
