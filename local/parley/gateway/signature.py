"""Signature Version 4: detection of signatures, and their verification."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

_SCHEME = "AWS4-HMAC-SHA256"
_HEADER = re.compile(rf"{_SCHEME} +Credential=([^,\s]+), *SignedHeaders=([^,\s]+), *Signature=([0-9a-f]{{64}})")


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """The parts of a request that a signature covers. `path` is as sent; header names may have any case."""

    method: str
    path: str
    query: str
    headers: Iterable[tuple[str, str]]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class _Signature:
    credential: str
    signed_headers: str
    digest: str
    timestamp: str


def is_signed(request: SignedRequest) -> bool:
    """Tell if a request has a signature, in a header or in the query. It may be wrong."""
    return _signature(request) is not None


def access_key(request: SignedRequest) -> str:
    """Return the access key that signs a request; empty if the request has no signature."""
    signature = _signature(request)
    return signature.credential.partition("/")[0] if signature else ""


def is_valid(request: SignedRequest, secret_of: Callable[[str], str | None]) -> bool:
    """Tell if a request is signed for `execute-api`, and correctly. `secret_of` returns the secret of an access key."""
    signature = _signature(request)
    access_key, *scope = signature.credential.split("/") if signature else ("",)
    secret = secret_of(access_key)
    if signature is None or secret is None or scope[2:] != ["execute-api", "aws4_request"]:
        return False
    expected = _expected(request, signature, scope[1], access_key, secret)
    # Bytes, because hmac compares only texts that are ASCII, and a client may send any.
    return hmac.compare_digest(expected.encode(), signature.digest.encode())


def _signature(request: SignedRequest) -> _Signature | None:
    headers = {name.lower(): value for name, value in request.headers}
    match = _HEADER.fullmatch(headers.get("authorization", "").strip())
    if match:
        return _Signature(match[1], match[2], match[3], headers.get("x-amz-date", ""))
    query = dict(parse_qsl(request.query))
    if query.get("X-Amz-Algorithm") != _SCHEME:
        return None
    names = ("X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Date")
    return _Signature(*(query.get(name, "") for name in names))


def _expected(request: SignedRequest, signature: _Signature, region: str, access_key: str, secret: str) -> str:
    """Return the correct signature of this request, as botocore computes it."""
    # Not at the top of the module: only `--verify-signatures` verifies signatures.
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    signed = set(signature.signed_headers.split(";"))
    query = [pair for pair in parse_qsl(request.query, keep_blank_values=True) if pair[0] != "X-Amz-Signature"]
    headers = {name: value for name, value in request.headers if name.lower() in signed}
    host = next((value for name, value in headers.items() if name.lower() == "host"), "")
    url = f"https://{host}{request.path}" + (f"?{urlencode(query, quote_via=quote, safe='-_.~')}" if query else "")
    made = AWSRequest(request.method, url, headers=headers, data=request.body)
    made.context["timestamp"] = signature.timestamp
    auth: Any = SigV4Auth(Credentials(access_key, secret), "execute-api", region)
    return str(auth.signature(auth.string_to_sign(made, auth.canonical_request(made)), made))
