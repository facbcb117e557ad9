"""Event sources in an emulator for tests: as at the start after a reset; schedules follow the moved clock."""

import json
from pathlib import Path

import pytest

from tests.support.tried import tried
from tests.support.waiting import until

TEMPLATE = Path(__file__).parent / "templates" / "events" / "template.yaml"
DAY = 24 * 3600


@pytest.fixture(scope="module")
def running():
    with tried(TEMPLATE) as parley:
        yield parley


@pytest.fixture
def parley(running):
    running.reset()
    return running


def kept(parley):
    """Return the kinds of the events that the function has kept."""
    items = parley.client("dynamodb").scan(TableName="Seen", ConsistentRead=True)["Items"]
    return {item["kind"]["S"]: json.loads(item["event"]["S"]) for item in items}


@pytest.mark.parametrize(
    ("cause", "kind"),
    [("publish", "aws:sns"), ("put_events", "shop"), ("upload", "aws:s3"), ("change", "aws:dynamodb")],
)
def test_after_each_reset_they_invoke_again(parley, cause, kind):
    if cause == "change" and "Dynoxide" not in "".join(parley.process.lines):
        pytest.skip("moto's tables have no streams here")
    for _ in range(2):
        parley.invoke("Keep", {"cause": cause})
        until(lambda: kind in kept(parley))
        parley.reset()
        assert kept(parley) == {}


def test_an_uploaded_object_is_gone_after_a_reset(parley):
    s3 = parley.client("s3")
    [bucket] = [each["Name"] for each in s3.list_buckets()["Buckets"]]
    s3.put_object(Bucket=bucket, Key="a", Body=b"1")
    parley.reset()
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_schedule_follows_the_clock(parley):
    parley.advance(DAY)
    until(lambda: "aws.events" in kept(parley))
    parley.reset()
    assert kept(parley) == {}
    parley.advance(DAY)
    until(lambda: "aws.events" in kept(parley))
