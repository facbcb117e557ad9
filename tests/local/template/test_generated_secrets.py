"""Secrets that Secrets Manager generates for a template."""

import json
import string

import pytest
from parley.template.generated_secrets import generated_secret

KINDS = (string.ascii_lowercase, string.ascii_uppercase, string.digits, string.punctuation)


def of_kinds(secret):
    """Return which kinds of characters a secret has."""
    return [bool(set(secret) & set(kind)) for kind in KINDS]


def test_a_password_has_32_characters_of_each_kind_and_no_space():
    for number in range(100):
        secret = generated_secret({}, str(number))
        assert (len(secret), of_kinds(secret), " " in secret) == (32, [True] * 4, False)


def test_the_same_seed_gives_the_same_password():
    assert generated_secret({}, "a") == generated_secret({}, "a") != generated_secret({}, "b")


def test_options_leave_kinds_out():
    options = {
        "ExcludePunctuation": "true",
        "ExcludeUppercase": "true",
        "ExcludeCharacters": "abc012",
        "PasswordLength": "500",
    }
    secret = generated_secret(options, "seed")
    assert (len(secret), of_kinds(secret)) == (500, [True, False, True, False])
    assert not set(secret) & set("abc012")


def test_a_space_is_one_of_the_kinds_if_it_is_asked_for():
    options = dict.fromkeys(("IncludeSpace", "ExcludePunctuation", "ExcludeNumbers", "ExcludeUppercase"), "true")
    assert " " in generated_secret({**options, "PasswordLength": "2"}, "seed")


def test_kinds_need_not_all_be_there():
    options = {"RequireEachIncludedType": "false", "PasswordLength": "1"}
    assert len(generated_secret(options, "seed")) == 1


def test_the_password_is_put_into_a_template():
    options = {"SecretStringTemplate": '{"user": "ann"}', "GenerateStringKey": "password"}
    secret = json.loads(generated_secret(options, "seed"))
    assert secret == {"user": "ann", "password": generated_secret({}, "seed")}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"SecretStringTemplate": "{}"}, "need each other"),
        ({"GenerateStringKey": "k"}, "need each other"),
        ({"SecretStringTemplate": "[]", "GenerateStringKey": "k"}, "no JSON object"),
        ({"SecretStringTemplate": "{", "GenerateStringKey": "k"}, "no JSON object"),
        ({"PasswordLength": "3"}, "from 4 to 4096"),
        ({"PasswordLength": "4097"}, "from 4 to 4096"),
        ({"PasswordLength": "many"}, "from 4 to 4096"),
        ({"PasswordLength": "0", "RequireEachIncludedType": "false"}, "from 1 to 4096"),
        ({"ExcludeCharacters": string.printable}, "no characters are left"),
    ],
)
def test_what_secrets_manager_refuses(options, reason):
    with pytest.raises(ValueError, match=reason):
        generated_secret(options, "seed")
