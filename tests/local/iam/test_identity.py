"""The caller of a signed handshake, as events name it."""

from parley.iam.identity import caller_identity
from parley.template.model import Role

ROLES = {"Send": Role("chat-SendRole")}


def test_a_function_is_a_session_of_its_role():
    assert caller_identity("ASIA1", "Send", ROLES) == {
        "accountId": "000000000000",
        "accessKey": "ASIA1",
        "caller": "AROAEMULATOR:Send",
        "user": "AROAEMULATOR:Send",
        "userArn": "arn:aws:sts::000000000000:assumed-role/chat-SendRole/Send",
    }
    assert caller_identity("A", "Other", ROLES)["userArn"].endswith(":assumed-role/OtherRole/Other")


def test_any_other_key_is_a_users():
    identity = caller_identity("AKIDEXAMPLE", "", ROLES)
    assert (identity["accessKey"], identity["userArn"]) == ("AKIDEXAMPLE", "arn:aws:iam::000000000000:user/emulator")
    assert identity["caller"] == identity["user"] == "AIDAEMULATOR"
