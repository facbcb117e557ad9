"""The authenticator: the user of a token, and tokens that are refused."""

import time

import jwt
import pytest

from handlers.chat.concurrency import Runtime
from handlers.chat.errors import ErrorCode, Misconfigured, Refused
from handlers.chat.identity.keys import SharedSecret
from handlers.chat.identity.tokens import Authenticator, offered_token

SECRET = "a secret of at least thirty-two bytes"
OTHER_SECRET = "another secret of at least thirty-two"


@pytest.fixture
def authenticator():
    return Authenticator(SharedSecret(SECRET), lambda identity: identity.user_id == "alice", Runtime())


def signed(secret=SECRET, algorithm="HS256", **claims):
    return jwt.encode({"exp": time.time() + 60, "userId": "alice", **claims}, secret, algorithm=algorithm)


def test_a_good_token_names_its_user(authenticator):
    assert authenticator.user_of(signed()) == "alice"


def test_clocks_may_differ_by_some_seconds(authenticator):
    assert authenticator.user_of(signed(exp=time.time() - 20)) == "alice"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "token",
        "a.b.c",
        "é.ü.ö",
        signed(OTHER_SECRET),
        signed(exp=time.time() - 60),
        signed(nbf=time.time() + 600),
        signed(algorithm="HS512"),
        signed(userId="mallory"),
        signed(userId=["alice"]),
        signed(userId=7),
        signed(userId=""),
        signed(userId="a" * 129),
        signed(userId="alice\n"),
        jwt.encode({"userId": "alice"}, SECRET, algorithm="HS256"),
        jwt.encode({"exp": time.time() + 60}, SECRET, algorithm="HS256"),
        jwt.encode({"exp": time.time() + 60, "userId": "alice"}, None, algorithm="none"),
        signed()[:-2],
        signed() * 50,
    ],
    ids=range(19),
)
def test_every_other_token_is_refused_alike(authenticator, token):
    with pytest.raises(Refused) as refused:
        authenticator.user_of(token)
    assert (refused.value.code, refused.value.message) == (
        ErrorCode.INVALID_TOKEN,
        "Invalid authentication token",
    )


@pytest.mark.parametrize("user_id", ["org/bob", "u%41", "q?x", ".", "..", "a\u2028\ue000b", "a\u202eb", ""])
def test_an_id_that_no_path_can_name_is_no_users_even_if_everybody_is_let_in(user_id):
    open_to_all = Authenticator(SharedSecret(SECRET), lambda identity: True, Runtime())
    assert open_to_all.user_of(signed(userId="auth0|9 é#+&\\")) == "auth0|9 é#+&\\"
    with pytest.raises(Refused):
        open_to_all.user_of(signed(userId=user_id))


def test_a_short_secret_is_refused_at_start():
    with pytest.raises(Misconfigured, match="JWT_SECRET is shorter than 32 bytes"):
        SharedSecret("short")


def test_a_token_may_come_in_a_header_or_in_the_query():
    assert offered_token({"authorization": "bearer abc"}, {"token": "xyz"}) == "abc"
    assert offered_token({"Authorization": "Bearer abc"}, {}) == "abc"
    assert offered_token({"Authorization": "Basic abc"}, {"token": "xyz"}) == "xyz"
    assert offered_token({"Authorization": "Bearer "}, {}) is None
    assert offered_token({}, {}) is None
