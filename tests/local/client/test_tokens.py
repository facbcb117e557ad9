"""Tokens of the client: a string, or a function that fetches one."""

import jwt
import pytest
from parley.client import ParleyError
from parley.client.tokens import Tokens, expires_at


async def test_a_string_is_the_token_whatever_happens():
    tokens = Tokens("a")
    tokens.drop("a")
    assert (await tokens.get(), tokens.renewable) == ("a", False)


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_function_is_called_once_until_its_token_is_dropped(is_async):
    left = ["b", "a"]

    async def fetch():
        return left.pop()

    tokens = Tokens(fetch if is_async else left.pop)
    assert tokens.renewable
    assert [await tokens.get(), await tokens.get()] == ["a", "a"]
    tokens.drop("older")
    assert await tokens.get() == "a"
    tokens.drop("a")
    assert await tokens.get() == "b"


async def test_a_failure_is_tried_again_and_the_client_s_own_exception_is_not():
    def fail():
        raise failures.pop()

    failures = [ParleyError("signed out"), KeyError("no network")]
    tokens = Tokens(fail)
    with pytest.raises(TimeoutError, match="no token can be fetched: 'no network'"):
        await tokens.get()
    with pytest.raises(ParleyError, match="signed out"):
        await tokens.get()


def test_the_end_of_a_token_is_read():
    assert expires_at(jwt.encode({"sub": "ann", "exp": 1_800_000_000}, "a secret" * 5)) == 1_800_000_000


@pytest.mark.parametrize("token", ["", "opaque", "a.b.c", "a.bnVsbA.c", "a.e30.c", "a.eyJleHAiOiJzb29uIn0.c"])
def test_one_that_cannot_be_read_has_none(token):
    assert expires_at(token) is None
