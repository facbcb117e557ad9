from datetime import UTC, datetime, timedelta

import jwt
import pytest
from parley import dev_tokens

SECRET = "a-secret-of-the-test-with-32-bytes-or-more"


def test_a_token_names_its_user_and_lasts_twelve_hours():
    before = datetime.now(UTC)

    claims = jwt.decode(dev_tokens.token("alice", SECRET), SECRET, algorithms=["HS256"])

    assert claims["userId"] == "alice"
    assert claims["exp"] - claims["iat"] == 12 * 3600
    assert int(before.timestamp()) <= claims["iat"] <= datetime.now(UTC).timestamp()


def test_a_token_runs_out_when_asked():
    stale = dev_tokens.token("alice", SECRET, timedelta(seconds=-1))

    with pytest.raises(jwt.ExpiredSignatureError):
        jwt.decode(stale, SECRET, algorithms=["HS256"])


def test_a_token_of_another_secret_is_not_accepted():
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(dev_tokens.token("alice", SECRET), SECRET + "!", algorithms=["HS256"])


def test_the_secret_comes_from_the_environment():
    assert dev_tokens.secret({"JWT_SECRET": SECRET}) == SECRET


@pytest.mark.parametrize("environ", [{}, {"JWT_SECRET": ""}])
def test_without_one_the_development_secret_is_used(environ):
    assert dev_tokens.secret(environ) == dev_tokens.DEVELOPMENT_SECRET


def test_the_development_secret_says_what_it_is_and_is_long_enough_for_hs256():
    assert "development" in dev_tokens.DEVELOPMENT_SECRET
    assert len(dev_tokens.DEVELOPMENT_SECRET.encode()) >= 32
