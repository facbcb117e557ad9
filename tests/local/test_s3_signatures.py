"""Signed URLs of S3 and forms: what botocore signs is taken, and nothing else."""

import base64
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from hypothesis import given
from hypothesis import strategies as st
from parley.aws_services.s3_signatures import Form, S3Refusal, check_url, is_signed_url, signer_of_url, unsigned

KEYS = {"key": "secret"}
HOST = "127.0.0.1:8000"
PATH = "/_parley/aws/s3/bucket"


@pytest.fixture(scope="module")
def s3():
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    config = Config(signature_version="s3v4")
    return boto3.client("s3", endpoint_url=f"http://{HOST}/_parley/aws/s3", config=config, **keys)


def now():
    return datetime.now(UTC)


def body(fields, file, boundary="XbX"):
    parts = [(name, value.encode(), "") for name, value in fields.items()] + [("file", file, '; filename="a"')]
    return (
        b"".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + content + b"\r\n"
            for name, content, more in parts
        )
        + (f"--{boundary}--\r\n").encode()
    )


def form(s3, file=b"abc", conditions=(), fields=None, **changed):
    signed = s3.generate_presigned_post("bucket", "a/b", Fields=fields, Conditions=list(conditions), ExpiresIn=60)
    return Form.of("multipart/form-data; boundary=XbX", body(signed["fields"] | changed, file))


def refusal(work, *arguments):
    with pytest.raises(S3Refusal) as refused:
        work(*arguments)
    return refused.value.code


class TestForms:
    @given(st.binary(), st.dictionaries(st.sampled_from(["key", "Policy", "x"]), st.text("ab \n=;\"'é")))
    def test_what_a_browser_sends_is_read_byte_for_byte(self, file, fields):
        read = Form.of('multipart/form-data; boundary="XbX"', body(fields, file))
        if b"\r\n--XbX" not in b"\r\n" + file:
            assert read == Form({name.lower(): value for name, value in fields.items()}, file)

    @pytest.mark.parametrize("kind", ["application/json", "multipart/form-data", "multipart/form-data; boundary=other"])
    def test_what_is_no_form_is_none(self, kind):
        assert Form.of(kind, body({"key": "a"}, b"abc")) is None

    def test_what_was_signed_is_taken(self, s3):
        form(s3).check("bucket", KEYS.get, now())
        exact = [{"Content-Type": "text/plain"}, ["starts-with", "$x-amz-meta-a", "b"], ["eq", "$x-amz-meta-c", "d"]]
        fields = {"Content-Type": "text/plain", "x-amz-meta-a": "bc", "x-amz-meta-c": "d"}
        form(s3, conditions=[*exact, ["content-length-range", 3, 3]], fields=fields).check("bucket", KEYS.get, now())

    @pytest.mark.parametrize(
        ("file", "conditions", "changed", "code"),
        [
            (b"abc", [["content-length-range", 4, 9]], {}, "EntityTooSmall"),
            (b"abc", [["content-length-range", 1, 2]], {}, "EntityTooLarge"),
            (b"abc", [{"Content-Type": "text/plain"}], {"Content-Type": "text/html"}, "AccessDenied"),
            (b"abc", [["starts-with", "$x-amz-meta-a", "b"]], {"x-amz-meta-a": "c"}, "AccessDenied"),
            (b"abc", [{"Content-Type": "text/plain"}], {}, "AccessDenied"),
            (b"abc", [], {"key": "other"}, "AccessDenied"),
            (b"abc", [], {"acl": "public-read"}, "AccessDenied"),
            (b"abc", [], {"policy": ""}, "AccessDenied"),
            (b"abc", [["eq"]], {}, "InvalidPolicyDocument"),
            (b"abc", [["contains", "$key", "a"]], {}, "InvalidPolicyDocument"),
            (b"abc", [["content-length-range", "one", 3]], {}, "InvalidPolicyDocument"),
            (b"abc", [], {"x-amz-signature": "0"}, "SignatureDoesNotMatch"),
            (b"abc", [], {"x-amz-signature": "é"}, "SignatureDoesNotMatch"),
            (b"abc", [], {"policy": base64.b64encode(b"{}").decode()}, "SignatureDoesNotMatch"),
        ],
        ids=range(14),
    )
    def test_what_was_not_signed_is_refused(self, s3, file, conditions, changed, code):
        assert refusal(form(s3, file, conditions, **changed).check, "bucket", KEYS.get, now()) == code

    def test_another_bucket_and_a_late_upload_are_refused(self, s3):
        assert refusal(form(s3).check, "other", KEYS.get, now()) == "AccessDenied"
        assert refusal(form(s3).check, "bucket", KEYS.get, now() + timedelta(seconds=61)) == "AccessDenied"

    def test_the_signature_of_a_key_that_is_not_known_is_let_be_and_the_policy_is_not(self, s3):
        form(s3, **{"x-amz-signature": "0"}).check("bucket", {}.get, now())
        assert refusal(form(s3, key="other").check, "bucket", {}.get, now()) == "AccessDenied"

    def test_a_policy_that_cannot_be_read_is_refused(self, s3):
        for policy in (
            "",
            "%",
            "e30=",
            base64.b64encode(b"[1]").decode(),
            base64.b64encode(b'{"expiration": 1}').decode(),
            base64.b64encode(b'{"expiration": "2126-01-01T00:00:00", "conditions": []}').decode(),
            base64.b64encode(b"[" * 15_000).decode(),
        ):
            wrong = form(s3, policy=policy)
            code = "InvalidPolicyDocument" if policy else "AccessDenied"
            assert refusal(wrong.check, "bucket", {}.get, now()) == code


class TestUrls:
    @pytest.mark.parametrize("key", ["k", "a/b c", "чай/é+&?%25", "a//b"])
    @pytest.mark.parametrize("operation", ["get_object", "put_object", "head_object"])
    def test_what_was_signed_is_taken(self, s3, key, operation):
        more = {"ResponseContentType": "text/plain; charset=utf-8"} if operation == "get_object" else {}
        url = urlsplit(s3.generate_presigned_url(operation, Params={"Bucket": "bucket", "Key": key, **more}))
        method = operation.partition("_")[0].upper()
        assert (is_signed_url(url.query), signer_of_url(url.query)) == (True, "key")
        check_url(method, url.path, url.query, {"host": HOST}, KEYS.get, now())
        for changed in (
            ("DELETE", url.path, url.query, {"host": HOST}),
            (method, f"{url.path}x", url.query, {"host": HOST}),
            (method, url.path, f"{url.query}&more=1", {"host": HOST}),
            (method, url.path, url.query, {"host": "other"}),
        ):
            assert refusal(check_url, *changed, KEYS.get, now()) == "SignatureDoesNotMatch"

    def test_one_that_is_too_old_is_refused(self, s3):
        query = urlsplit(
            s3.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"}, ExpiresIn=60)
        ).query
        later = now() + timedelta(seconds=61)
        assert refusal(check_url, "GET", PATH, query, {"host": HOST}, KEYS.get, later) == "AccessDenied"

    @pytest.mark.parametrize("age", ["x", "", "-1", "604801", "9" * 20, "9" * 5000])
    def test_one_without_an_age_of_at_most_a_week_is_refused(self, age):
        query = f"X-Amz-Date=20260101T000000Z&X-Amz-Expires={age}&X-Amz-Signature=0"
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        code = refusal(check_url, "GET", PATH, query, {"host": HOST}, KEYS.get, moment)
        assert code == "AuthorizationQueryParametersError"

    def test_a_signature_in_other_letters_is_refused(self, s3):
        query = urlsplit(s3.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"})).query
        wrong = query.replace("X-Amz-Signature=", "X-Amz-Signature=é")
        assert refusal(check_url, "GET", PATH, wrong, {"host": HOST}, KEYS.get, now()) == "SignatureDoesNotMatch"

    def test_without_its_signature_a_query_keeps_the_rest(self, s3):
        params = {"Bucket": "b", "Key": "k", "ResponseContentType": "text/plain"}
        query = urlsplit(s3.generate_presigned_url("get_object", Params=params)).query
        assert unsigned(query) == "response-content-type=text%2Fplain"


def test_a_refusal_is_an_answer_of_s3():
    answer = S3Refusal("AccessDenied", "a < b", 403).response
    assert (answer.status, answer.headers["content-type"]) == (403, "application/xml")
    assert b"<Code>AccessDenied</Code><Message>a &lt; b</Message>" in answer.body
