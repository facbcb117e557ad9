"""The check of a run's output finds private text."""

import json

import pytest
from parley.dev_tokens import token

from tests.support.devices import SECRET
from tests.support.log_check import leaks

GREETING = f"  Token         {token('alice', SECRET)}\n\nChat in another terminal:  parley chat\n"
TEXT = "Сколько стоит чай?"


@pytest.mark.parametrize(
    "line",
    [
        f"handled {TEXT}",
        json.dumps({"body": TEXT}),
        json.dumps({"event": json.dumps({"data": {"message": TEXT}})}),
        f"token={token('bob', SECRET)}",
        f"JWT_SECRET={SECRET}",
    ],
)
def test_private_text_is_found(line):
    assert leaks(GREETING + line, {TEXT})


def test_ids_and_the_token_of_the_greeting_are_not_private():
    assert leaks(GREETING + "$default \u2192 DefaultFunction BFaT_fALIAMCKug= 12 ms\n", {TEXT}) == []
