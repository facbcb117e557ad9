"""Signature Version 4, checked against what botocore signs."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from parley.gateway.signature import SignedRequest, access_key, is_signed, is_valid

KEYS = Credentials("AKID", "secret", "a session token")
URL = "https://127.0.0.1:8000/live/%40connections/BFaT_fALIAMCKug%3D?b=2&a=1"


def secret_of(access_key):
    return {"AKID": "secret"}.get(access_key)


def received(signer, method="POST", url=URL, body=b"hello", service="execute-api", keys=KEYS):
    """The request as a server gets it that botocore has signed."""
    made = AWSRequest(method, url, data=body, headers={"Host": "127.0.0.1:8000"})
    signer(keys, service, "eu-west-1").add_auth(made)
    sent = urlsplit(made.prepare().url)
    headers = [(name, value.decode() if isinstance(value, bytes) else value) for name, value in made.headers.items()]
    return SignedRequest(method, sent.path, sent.query, headers, body)


@pytest.mark.parametrize("signer", [SigV4Auth, SigV4QueryAuth])
def test_the_access_key_is_read_from_the_signature(signer):
    assert access_key(received(signer, "GET", body=b"")) == "AKID"
    assert access_key(SignedRequest("GET", "/live", "", [])) == ""


def test_a_header_signed_by_botocore_is_valid():
    assert is_valid(received(SigV4Auth), secret_of)


def test_a_query_signed_by_botocore_is_valid():
    request = received(SigV4QueryAuth, "GET", "https://127.0.0.1:8000/live?token=a%20b", b"")
    assert is_valid(request, secret_of)


@pytest.mark.parametrize(
    "changed",
    [
        {"service": "s3"},
        {"keys": Credentials("AKID", "another secret")},
        {"keys": Credentials("UNKNOWN", "secret")},
    ],
)
def test_another_service_secret_or_key_is_signed_but_not_right(changed):
    request = received(SigV4Auth, **changed)
    assert is_signed(request)
    assert not is_valid(request, secret_of)


def test_a_signature_in_other_letters_is_not_valid():
    request = received(SigV4QueryAuth, "GET", body=b"")
    assert not is_valid(replace(request, query=request.query.replace("Signature=", "Signature=%C3%A9")), secret_of)


def test_a_changed_request_is_not_valid():
    honest = received(SigV4Auth)
    for changed in (
        SignedRequest("DELETE", honest.path, honest.query, honest.headers, honest.body),
        SignedRequest("POST", "/other", honest.query, honest.headers, honest.body),
        SignedRequest("POST", honest.path, "a=1", honest.headers, honest.body),
        SignedRequest("POST", honest.path, honest.query, honest.headers, b"another"),
    ):
        assert not is_valid(changed, secret_of)


@pytest.mark.parametrize("value", ["", "Bearer abc", "AWS4-HMAC-SHA256 Credential=AKID", "AWS4-HMAC-SHA256"])
def test_anything_else_is_not_signed(value):
    request = SignedRequest("POST", "/live", "X-Amz-Signature=1", [("authorization", value)])
    assert not is_signed(request)
    assert not is_valid(request, secret_of)
