"""Objects of S3, kept: what the buckets of moto hold is written to the journal before a request is answered.

Kept are the newest version of each object with its metadata, and not its tags or its older versions.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from parley.account import ACCOUNT_ID, REGION
from parley.emulator.state.journal import Journal, Statement

_PARTITION = "aws"

Place = tuple[str, str]
"""A bucket and a key."""


class KeptObjects:
    """The objects of all buckets. Only for the thread in which moto's buckets are used."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._kept: dict[Place, Any] = {}

    def restore(self) -> None:
        """Fill the buckets, which the template has just made, with the objects that were kept.

        A bucket that the template does not have was made by a request, and is made again.
        """
        from moto.s3.models import FakeKey

        backend = _backend()
        for bucket, name, content, fields in self._journal.read("SELECT bucket, name, content, fields FROM objects"):
            if bucket not in backend.buckets:
                backend.create_bucket(bucket, REGION)
            kept = json.loads(fields)
            key = FakeKey(name, content, ACCOUNT_ID, REGION, kept["storage"], kept["etag"], bucket_name=bucket)
            key.set_metadata(kept["metadata"])
            key.last_modified = datetime.fromisoformat(kept["modified"])
            backend.buckets[bucket].keys.setlist(name, [key])
            self._kept[bucket, name] = key

    def keep(self) -> None:
        """Write what a request has changed. Raises `NotKept`."""
        # An object that is put again is another one of Python's too.
        now = {
            (bucket.name, name): key
            for bucket in _backend().buckets.values()
            for name, key in bucket.keys.items()
            if hasattr(key, "value")  # what marks a deleted object has no content
        }
        changed = [(place, key) for place, key in now.items() if self._kept.get(place) is not key]
        gone = [place for place in self._kept if place not in now]
        if changed or gone:
            self._journal.write(
                *(("DELETE FROM objects WHERE bucket = ? AND name = ?", place) for place in gone),
                *(_put(place, key) for place, key in changed),
            )
            self._kept = now


def _put(place: Place, key: Any) -> Statement:
    fields = {
        "storage": key._storage_class,
        "etag": key._etag,
        "metadata": dict(key._metadata),
        "modified": key.last_modified.isoformat(),
    }
    statement = "INSERT OR REPLACE INTO objects (bucket, name, content, fields) VALUES (?, ?, ?, ?)"
    return statement, (*place, key.value, json.dumps(fields))


def _backend() -> Any:
    from moto.s3.models import s3_backends

    return s3_backends[ACCOUNT_ID][_PARTITION]
