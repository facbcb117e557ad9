"""The engine does not wait for the disk; the emulator flushes its files."""

from __future__ import annotations

import asyncio
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from parley.clock import Clock
from parley.dynamodb.dynoxide import process, syncing
from parley.dynamodb.dynoxide.process import Data
from parley.dynamodb.dynoxide.syncing import flush_again_and_again, without_waits

from tests.support import engines
from tests.support.clock import ManualClock, settle

HAS_FILTER = sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64")
WRITER = """
import os, sys
with open(sys.argv[1], "w") as file:
    file.write("written")
    file.flush()
    os.fsync(file.fileno())
    os.fdatasync(file.fileno())
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("Seccomp:")))
"""


def seccomp(process_id="self"):
    """Return whether a process has a filter: 2 if it has."""
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("Seccomp:"))


def run(file):
    return subprocess.run([sys.executable, "-c", WRITER, file], capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(not HAS_FILTER, reason="there is no such filter here")
class TestTheFilter:
    def test_a_process_has_it_and_writes_as_before(self, tmp_path):
        assert without_waits(lambda: run(tmp_path / "file")) == "2\n"
        assert (tmp_path / "file").read_text() == "written"

    def test_nothing_else_has_it(self, tmp_path):
        without_waits(lambda: run(tmp_path / "file"))
        assert run(tmp_path / "file").strip() == seccomp()

    async def test_the_engine_has_it_if_its_data_are_kept(self, tmp_path):
        engine = await process.start(engines.binary(), Data(tmp_path, keeps=True), Clock().within)
        assert seccomp(engine.pid) == "2"
        await engine.end()
        assert (tmp_path / "tables.db").exists()


def test_where_there_is_none_the_process_starts_all_the_same(tmp_path, monkeypatch):
    def refused():
        raise OSError(1, "not permitted")

    monkeypatch.setattr(syncing, "_filter_calls_of_this_thread", refused)
    assert without_waits(lambda: run(tmp_path / "file")).strip() != ""


def test_an_error_of_the_start_is_the_callers():
    with pytest.raises(FileNotFoundError):
        without_waits(lambda: subprocess.run(["/no/such/program"]))


async def test_files_are_flushed_when_they_have_changed_and_at_the_end(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(syncing, "flush", flushed.append)
    monkeypatch.setattr(asyncio, "to_thread", at_once)
    file, clock = tmp_path / "file", ManualClock()
    stopping = asyncio.get_running_loop().create_future()
    flushing = asyncio.create_task(flush_again_and_again([file], clock.within, stopping, lambda: None))
    await clock.advance(5)
    assert flushed == []
    file.write_text("one")
    await clock.advance(5)
    await clock.advance(50)
    assert len(flushed) == 1
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))
    stopping.set_result(None)
    await settle()
    assert len(flushed) == 2
    assert flushing.done()


async def test_a_removed_folder_is_told_once(tmp_path):
    told, clock = [], ManualClock()
    stopping = asyncio.get_running_loop().create_future()
    file = tmp_path / "folder" / "file"
    file.parent.mkdir()
    flushing = asyncio.create_task(flush_again_and_again([file], clock.within, stopping, lambda: told.append("gone")))
    await clock.advance(5)
    assert told == []
    file.parent.rmdir()
    await clock.advance(50)
    assert told == ["gone"]
    stopping.set_result(None)
    await flushing


async def at_once(work, *arguments):
    """Do what would be done in a thread, now: a simulated clock does not wait for threads."""
    return work(*arguments)


def test_files_that_are_not_there_are_no_error(tmp_path):
    syncing.flush([tmp_path / "none"])
    (tmp_path / "file").write_text("x")
    syncing.flush([tmp_path / "file"])
