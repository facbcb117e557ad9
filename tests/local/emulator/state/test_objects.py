"""Objects of S3 that were acknowledged are there in the next run, as they were."""

from __future__ import annotations

import pytest
from moto.s3.models import s3_backends
from parley.account import ACCOUNT_ID, REGION
from parley.aws_services import AwsServices, Resources
from parley.clock import Clock
from parley.emulator.state.journal import Journal
from parley.emulator.state.kept import KeptServices
from parley.template.model import Bucket
from parley.trace import Trace


@pytest.fixture
def run(tmp_path):
    """Starts a run on one journal, with a bucket of the template. The run before it ends as by SIGKILL."""
    journals, backend = [], s3_backends[ACCOUNT_ID]["aws"]

    def start():
        backend.reset()  # it also closes the files of its objects
        backend.create_bucket("uploads", REGION)
        journals.append(Journal(tmp_path / "services.db"))
        kept = KeptServices(journals[-1])
        kept.restore("s3")
        return backend, kept

    yield start
    for each in journals:
        each.close()
    backend.reset()


def test_an_object_that_was_put_is_there_in_the_next_run(run):
    backend, kept = run()
    put = backend.put_object("uploads", "a/photo.jpg", b"\x00\xffphoto", storage="STANDARD_IA")
    put.set_metadata({"Content-Type": "image/jpeg", "x-amz-meta-by": "alice"})
    kept.keep("s3")
    etag = put.etag
    backend, kept = run()
    found = backend.get_object("uploads", "a/photo.jpg")
    assert (found.value, found.etag, found.storage_class) == (b"\x00\xffphoto", etag, "STANDARD_IA")
    assert dict(found.metadata) == dict(put.metadata)
    assert found.last_modified == put.last_modified
    assert list(backend.buckets["uploads"].keys) == ["a/photo.jpg"]


def test_the_last_one_of_a_name_counts_and_a_deleted_one_is_gone(run):
    backend, kept = run()
    for name, content in (("one", b"1"), ("two", b"2"), ("one", b"11")):
        backend.put_object("uploads", name, content)
        kept.keep("s3")
    backend.delete_object("uploads", "two")
    kept.keep("s3")
    backend, _ = run()
    assert backend.get_object("uploads", "one").value == b"11"
    assert backend.get_object("uploads", "two") is None


def test_one_of_a_bucket_with_versions_too(run):
    backend, kept = run()
    backend.put_bucket_versioning("uploads", "Enabled")
    for content in (b"1", b"2"):
        backend.put_object("uploads", "one", content)
    backend.put_object("uploads", "two", b"2")
    backend.delete_object("uploads", "two")
    kept.keep("s3")
    backend, _ = run()
    assert backend.get_object("uploads", "one").value == b"2"
    assert backend.get_object("uploads", "two") is None


def test_a_bucket_that_a_request_has_made_is_made_again(run):
    backend, kept = run()
    backend.create_bucket("made", REGION)
    backend.put_object("made", "one", b"1")
    kept.keep("s3")
    backend, kept = run()
    assert backend.get_object("made", "one").value == b"1"
    backend.delete_object("made", "one")
    kept.keep("s3")
    assert "made" not in run()[0].buckets


def test_a_request_of_another_service_keeps_nothing(run):
    backend, kept = run()
    backend.put_object("uploads", "one", b"1")
    kept.keep("ssm")
    assert run()[0].get_object("uploads", "one") is None


async def test_services_restore_them_into_the_templates_buckets(run, tmp_path):
    run()
    signed = {"authorization": "AWS4-HMAC-SHA256 Credential=emulator/20260101/us-east-1/s3/aws4_request"}
    for number in (1, 2):
        s3_backends[ACCOUNT_ID]["aws"].buckets.clear()
        s3_backends.bucket_accounts.clear()
        journal = Journal(tmp_path / "other.db")
        services = AwsServices("http://127.0.0.1:1", Trace(), Clock(), keeper=KeptServices(journal))
        await services.provision(Resources(buckets=(Bucket("uploads"),)))
        if number == 1:
            assert (await services.answer("s3", "PUT", signed, b"one", "/uploads/a.txt")).status == 200
        answer = await services.answer("s3", "GET", signed, b"", "/uploads/a.txt")
        journal.close()
        assert (answer.status, answer.body) == (200, b"one")
