"""The authorizer: the token says what it answers."""

from observed import keep


def handler(event, context):
    keep(event, kind="AUTHORIZE")
    match event["queryStringParameters"]["token"]:
        case "unauthorized":
            raise RuntimeError("Unauthorized")
        case "raise":
            raise RuntimeError("asked for")
        case "object":
            return {"isAuthorized": True}
        case "long":
            return policy("Allow", event) | {"context": {"long": "x" * 9_000}}
        case "deny":
            return policy("Deny", event)
        case _:
            return policy("Allow", event) | {"context": {"text": "x", "number": 1, "truth": True}}


def policy(effect, event):
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": event["methodArn"]}
    return {"principalId": "alice", "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
