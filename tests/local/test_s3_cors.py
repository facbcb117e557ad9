"""CORS of buckets: the template says which pages are allowed; where it says nothing, those of this machine are."""

import pytest
from parley.aws_services.s3_cors import cors_headers, preflight, rule_for
from parley.template.model import Bucket, CorsRule

CHAT = "https://chat.example"
RULE = CorsRule((CHAT, "https://*.example.org"), ("GET", "POST"), ("x-amz-*", "Content-Type"), ("ETag",), "600")
BUCKET = Bucket("files", cors=(CorsRule(("https://other.example",), ("PUT",)), RULE))


def found(bucket, origin, method="GET", headers=""):
    return rule_for(bucket, origin, method, headers, lambda origin: origin == "http://localhost:5173")


@pytest.mark.parametrize(
    ("origin", "method", "headers", "rule"),
    [
        (CHAT, "GET", "", RULE),
        (CHAT, "POST", "X-Amz-Date, content-type", RULE),
        ("https://a.example.org", "GET", "", RULE),
        ("https://other.example", "PUT", "", BUCKET.cors[0]),
        ("https://other.example", "PUT", "x-other", None),
        ("https://other.example", "GET", "", None),
        (CHAT, "DELETE", "", None),
        (CHAT, "GET", "authorization", None),
        ("https://chat.example.evil", "GET", "", None),
        ("http://localhost:5173", "GET", "", None),
        ("null", "GET", "", None),
    ],
)
def test_the_first_rule_that_allows_a_request_counts(origin, method, headers, rule):
    assert found(BUCKET, origin, method, headers) == rule


def test_a_bucket_without_rules_is_for_pages_of_this_machine():
    for bucket in (Bucket("files"), None):
        assert found(bucket, "http://localhost:5173", "PUT", "x-any").origins == ("http://localhost:5173",)
        assert found(bucket, CHAT) is None


def test_a_page_that_asks_is_told():
    asked = {"origin": CHAT, "access-control-request-headers": "content-type"}
    given = preflight(RULE, asked)
    assert (given.status, given.headers["access-control-allow-origin"]) == (200, CHAT)
    assert given.headers["access-control-allow-headers"] == "content-type"
    assert given.headers["access-control-max-age"] == "600"
    assert given.headers["access-control-expose-headers"] == "ETag"
    assert preflight(None, asked).status == 403
    assert cors_headers(CorsRule(("*",), ("GET",)), CHAT)["access-control-allow-origin"] == "*"
