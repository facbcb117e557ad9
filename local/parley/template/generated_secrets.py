"""Secrets that Secrets Manager generates for a template, here made from a seed: each start has the same ones."""

from __future__ import annotations

import hashlib
import json
import string
from collections.abc import Mapping
from random import Random
from typing import Any

OPTIONS = (
    *("ExcludeCharacters", "ExcludeLowercase", "ExcludeUppercase", "ExcludeNumbers", "ExcludePunctuation"),
    *("IncludeSpace", "PasswordLength", "RequireEachIncludedType", "SecretStringTemplate", "GenerateStringKey"),
)
"""The properties of `GenerateSecretString`."""

_MAX_LENGTH = 4096
_KINDS = {
    "ExcludeLowercase": string.ascii_lowercase,
    "ExcludeUppercase": string.ascii_uppercase,
    "ExcludeNumbers": string.digits,
    "ExcludePunctuation": string.punctuation,
}


def generated_secret(options: Mapping[str, str], seed: str) -> str:
    """Return the secret that these options ask for, always the same for the same seed.

    Source: CloudFormation's template reference, `GenerateSecretString` of `AWS::SecretsManager::Secret`. Raises
    `ValueError` with the reason if Secrets Manager would refuse the options.
    """
    template, key = options.get("SecretStringTemplate"), options.get("GenerateStringKey")
    if bool(template) != bool(key):
        raise ValueError("SecretStringTemplate and GenerateStringKey need each other")
    password = _password(options, Random(hashlib.sha256(seed.encode()).digest()))  # noqa: S311 - the seed is the secret
    if not template:
        return password
    fields = fields_of(template)
    if fields is None:
        raise ValueError("SecretStringTemplate is no JSON object")
    return json.dumps({**fields, str(key): password})


def fields_of(secret: str) -> dict[str, Any] | None:
    """Return the fields of a secret that is a JSON object; None for any other secret."""
    try:
        content = json.loads(secret)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _password(options: Mapping[str, str], chance: Random) -> str:
    left_out = options.get("ExcludeCharacters", "")
    kinds = [kind for name, kind in _KINDS.items() if options.get(name) != "true"]
    kinds += [" "] if options.get("IncludeSpace") == "true" else []
    kinds = [left for kind in kinds if (left := "".join(each for each in kind if each not in left_out))]
    if not kinds:
        raise ValueError("no characters are left for the password")
    required = [] if options.get("RequireEachIncludedType") == "false" else [chance.choice(kind) for kind in kinds]
    try:
        length = int(options.get("PasswordLength") or "32")
    except ValueError:
        length = 0
    if not max(1, len(required)) <= length <= _MAX_LENGTH:
        raise ValueError(f"PasswordLength must be a number from {max(1, len(required))} to {_MAX_LENGTH}")
    password = required + chance.choices("".join(kinds), k=length - len(required))
    chance.shuffle(password)
    return "".join(password)
