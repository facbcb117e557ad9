"""Signed requests to S3 of those who have no keys: URLs that a function has signed, and forms. No I/O.

Sources: S3's API reference, "Authenticating requests: using query parameters" and "Browser-based uploads using POST":
"Creating an HTML form" and "POST policy".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from urllib.parse import parse_qsl, quote
from xml.sax.saxutils import escape

from parley.asgi import Response

MAX_FORM_BYTES = 20_000
"""Bytes of a form beside its file."""

MAX_AGE = timedelta(days=7)
"""The longest time that a URL may be signed for."""

_SCHEME = "AWS4-HMAC-SHA256"
_BOUNDARY = re.compile(r'multipart/form-data\b.*\bboundary="?([^";,]{1,70})"?', re.IGNORECASE)
_NAME = re.compile(r';\s*name="([^"]*)"', re.IGNORECASE)
_UNCHECKED = ("policy", "x-amz-signature", "file")
"""Fields that need no condition; others that begin with `x-ignore-` do not either."""

_KINDS = ("eq", "starts-with", "content-length-range")

SecretOf = Callable[[str], str | None]
"""Returns the secret of an access key. None lets the signature be: a program beside the emulator has keys of its own.
May raise `S3Refusal`."""


class S3Refusal(Exception):
    """A request that S3 refuses, with its code and the status of its answer."""

    def __init__(self, code: str, message: str, status: int = 403) -> None:
        super().__init__(message)
        self.code, self.status = code, status

    @property
    def response(self) -> Response:
        """The answer of S3."""
        text = f"<Error><Code>{self.code}</Code><Message>{escape(str(self))}</Message></Error>"
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'
        return Response(self.status, {"content-type": "application/xml"}, body.encode())


@dataclass(frozen=True, slots=True)
class Form:
    """A form with a file. The names of fields are in lower case."""

    fields: Mapping[str, str]
    file: bytes

    @classmethod
    def of(cls, content_type: str, body: bytes) -> Self | None:
        """Read the body of a POST. None if it is no form with a file."""
        match = _BOUNDARY.search(content_type)
        if match is None:
            return None
        fields: dict[str, str] = {}
        for name, content in _parts(body, match[1].encode("latin-1", "replace")):
            # What follows the file is ignored.
            if name == "file":
                return cls(fields, content)
            fields[name] = content.decode(errors="replace")
        return None

    @property
    def access_key(self) -> str:
        """The access key that has signed the form, empty if none has."""
        return self.fields.get("x-amz-credential", "").partition("/")[0]

    def check(self, bucket: str, secret_of: SecretOf, now: datetime) -> None:
        """Raise `S3Refusal` for what its policy does not allow, and without a policy."""
        policy = self.fields.get("policy", "")
        if not policy:
            raise S3Refusal("AccessDenied", "Access Denied")
        secret = secret_of(self.access_key)
        if secret is not None:
            scope = self.fields.get("x-amz-credential", "").split("/")[1:]
            _compare(_signature(secret, scope, policy), self.fields.get("x-amz-signature", ""))
        try:
            document = json.loads(base64.b64decode(policy))
            is_late = datetime.fromisoformat(document["expiration"]) <= now
            conditions = list(document["conditions"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise S3Refusal("InvalidPolicyDocument", "Invalid Policy: Invalid JSON.", 400) from None
        if is_late:
            raise S3Refusal("AccessDenied", "Invalid according to Policy: Policy expired.")
        self._check_conditions(conditions, bucket)

    def _check_conditions(self, conditions: list[Any], bucket: str) -> None:
        values = {**self.fields, "bucket": bucket}
        unnamed = {name for name in self.fields if name not in _UNCHECKED and not name.startswith("x-ignore-")}
        for condition in conditions:
            for kind, name, value in _conditions(condition):
                if kind == "content-length-range":
                    self._check_length(_length(name), _length(value))
                    continue
                name = name.removeprefix("$").lower()
                found = values.get(name, "")
                if not (found == value if kind == "eq" else found.startswith(value)):
                    raise S3Refusal(
                        "AccessDenied", f"Invalid according to Policy: Policy Condition failed: {json.dumps(condition)}"
                    )
                unnamed.discard(name)
        if unnamed:
            raise S3Refusal("AccessDenied", f"Invalid according to Policy: Extra input fields: {sorted(unnamed)[0]}")

    def _check_length(self, least: int, most: int) -> None:
        if len(self.file) > most:
            raise S3Refusal("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size", 400)
        if len(self.file) < least:
            raise S3Refusal("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size", 400)


def is_signed_url(query: str) -> bool:
    """Tell if a query says that its URL was signed."""
    return "X-Amz-Signature=" in query


def signer_of_url(query: str) -> str:
    """Return the access key that a URL was signed with, empty if none was."""
    return dict(parse_qsl(query)).get("X-Amz-Credential", "").partition("/")[0]


def unsigned(query: str) -> str:
    """Return the query of a signed URL without its signature."""
    return "&".join(pair for pair in query.split("&") if not pair.startswith("X-Amz-"))


def authorization(query: str) -> str:
    """Return the header of a request with the credential of a signed URL. Its signature is no real one."""
    credential = dict(parse_qsl(query)).get("X-Amz-Credential", "")
    return f"{_SCHEME} Credential={credential}, SignedHeaders=host, Signature={'0' * 64}"


def check_url(
    method: str, path: str, query: str, headers: Mapping[str, str], secret_of: SecretOf, now: datetime
) -> None:
    """Raise `S3Refusal` for a signed URL that is too old, or that was signed otherwise.

    `path` is the path as it was sent; `headers` have lower-case names.
    """
    pairs = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != "X-Amz-Signature"]
    given = dict(parse_qsl(query, keep_blank_values=True))
    try:
        signed_at = datetime.strptime(given.get("X-Amz-Date", ""), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        age = timedelta(seconds=int(given.get("X-Amz-Expires", "")))
    except (ValueError, OverflowError):
        raise S3Refusal(
            "AuthorizationQueryParametersError", "The query has no good X-Amz-Date or X-Amz-Expires", 400
        ) from None
    if not timedelta() <= age <= MAX_AGE:
        raise S3Refusal(
            "AuthorizationQueryParametersError", "X-Amz-Expires must be from 0 to 604800 seconds: a week", 400
        )
    if now - signed_at >= age:
        raise S3Refusal("AccessDenied", "Request has expired")
    secret = secret_of(signer_of_url(query))
    if secret is None:
        return
    names = given.get("X-Amz-SignedHeaders", "").split(";")
    canonical = "\n".join(
        [
            method,
            path,
            "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in sorted(pairs)),
            *(f"{name}:{headers.get(name, '').strip()}" for name in names),
            "",
            ";".join(names),
            "UNSIGNED-PAYLOAD",
        ]
    )
    scope = given.get("X-Amz-Credential", "").split("/")[1:]
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join([_SCHEME, given["X-Amz-Date"], "/".join(scope), digest])
    _compare(_signature(secret, scope, text), given.get("X-Amz-Signature", ""))


def _parts(body: bytes, boundary: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of each part of a form."""
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary)[1:]:
        head, found, content = part.partition(b"\r\n\r\n")
        if name := _NAME.search(head.decode(errors="replace")) if found else None:
            yield name[1].lower(), content


def _conditions(condition: Any) -> Iterator[tuple[str, str, str]]:
    """Yield the kind, the field and the value of a condition, which may be an object or a list."""
    if isinstance(condition, Mapping):
        yield from (("eq", str(name), str(value)) for name, value in condition.items())
    elif isinstance(condition, list) and len(condition) == 3:
        kind, name, value = map(str, condition)
        if kind.lower() not in _KINDS:
            raise S3Refusal("InvalidPolicyDocument", "Invalid Policy: Invalid condition.", 400)
        yield kind.lower(), name, value
    else:
        raise S3Refusal("InvalidPolicyDocument", "Invalid Policy: Invalid condition.", 400)


def _length(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise S3Refusal("InvalidPolicyDocument", "Invalid Policy: Invalid content-length-range.", 400) from None


def _compare(signature: str, given: str) -> None:
    """Raise `S3Refusal` if a request is signed otherwise."""
    # Bytes, because hmac compares only texts that are ASCII, and a client may send any.
    if not hmac.compare_digest(signature.encode(), given.encode()):
        raise S3Refusal(
            "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided."
        )


def _signature(secret: str, scope: list[str], text: str) -> str:
    key = f"AWS4{secret}".encode()
    for each in scope:
        key = hmac.new(key, each.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")
