"""The engine's process: its start, its end with the emulator, and the errors if it does not start."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from parley.clock import Clock
from parley.dynamodb.dynoxide import process
from parley.dynamodb.dynoxide.process import Data
from parley.errors import StartError

from tests.support import engines, waiting

HOLDER = """
import asyncio, sys
from pathlib import Path
from parley.clock import Clock
from parley.dynamodb.dynoxide import process

async def main():
    engine = await process.start(Path(sys.argv[1]), process.Data(Path(sys.argv[2])), Clock().within)
    print(engine.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""

PIECES = """
printf '%s' "$$ is listening"
sleep 0.4
echo ' on a port'
exec sleep 600
"""
"""An engine that prints its first line in two parts."""


@pytest.fixture
def folder(tmp_path):
    """A folder for the engine's data."""
    made = tmp_path / "data"
    made.mkdir()
    return made


def script(folder: Path, text: str) -> Path:
    """Write a program that is started as the engine."""
    path = folder / "engine"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return path


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(("free", "made"), [((1 << 30) - 1, 0), (1 << 30, 1)])
def test_its_data_are_in_shared_memory_if_there_is_plenty(tmp_path, monkeypatch, free, made):
    monkeypatch.setattr(process, "_SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free if path == tmp_path else 0))
    data = process.temporary_data()
    assert list(tmp_path.iterdir()) == [data and data.folder] * made
    assert [each.stat().st_mode & 0o077 for each in tmp_path.iterdir()] == [0] * made


def test_its_data_are_nowhere_else(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "_SHARED_MEMORY", tmp_path / "none")
    assert process.temporary_data() is None


async def test_without_a_folder_its_data_are_in_its_own_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    engine = await process.start(engines.binary(), None, Clock().within)
    assert await engine.end() == "it was ended by SIGKILL"
    assert list(tmp_path.iterdir()) == []


async def test_its_number_comes_before_all_that_it_prints_also_on_a_busy_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "_GUARDIAN", process._GUARDIAN.replace("engine=$!", "engine=$!; sleep 0.2"))
    engine = await process.start(script(tmp_path, PIECES), None, Clock().within)
    try:
        assert list(engine.output) == [f"{engine.pid} is listening on a port"]
    finally:
        await engine.end()


async def test_it_ends_with_its_data(folder):
    engine = await process.start(engines.binary(), Data(folder), Clock().within)
    assert engine.host.startswith("127.")
    assert (folder / "tables.db").exists()

    assert await engine.end() == "it was ended by SIGKILL"
    assert not runs(engine.pid)
    assert not folder.exists()


async def test_its_data_stay_for_another_run(folder):
    engine = await process.start(engines.binary(), Data(folder), Clock().within)
    await engine.end(keep=True)
    another = await process.start(engines.binary(), Data(folder), Clock().within)
    assert folder.exists()
    await another.end()
    assert not folder.exists()


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_the_process_that_has_started_it(signal_number, folder):
    command = [sys.executable, "-c", HOLDER, engines.binary(), folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as holder:
        assert holder.stdout is not None
        pid = int(holder.stdout.readline())
        assert runs(pid)
        assert folder.exists()
        holder.send_signal(signal_number)
        holder.wait()
    waiting.until(lambda: not runs(pid) and not folder.exists())


async def test_a_port_that_is_taken_meanwhile_is_left_for_another(tmp_path, folder):
    taken = tmp_path / "taken"
    program = script(
        tmp_path,
        f'[ -e "{taken}" ] || {{ touch "{taken}"; echo "error: port 1 is already in use"; exit 1; }}\n'
        f'exec "{engines.binary()}" "$@"',
    )
    engine = await process.start(program, Data(folder), Clock().within)
    assert taken.exists()
    await engine.end()


async def test_an_engine_that_does_not_start_says_why(tmp_path):
    program = script(tmp_path, "echo 'no room'; echo 'on this disk' >&2; exit 3")
    with pytest.raises(StartError) as refused:
        await process.start(program, Data(tmp_path), Clock().within)
    assert str(refused.value) == (
        "Dynoxide, the DynamoDB engine, did not start: it ended with status 3. It printed: no room on this disk"
    )


async def test_an_engine_that_cannot_be_run_says_why(tmp_path):
    program = tmp_path / "engine"
    program.write_text("not a program")
    with pytest.raises(StartError, match="did not start: it ended with status 126"):
        await process.start(program, Data(tmp_path), Clock().within)


async def test_an_engine_that_panics_says_where_and_nothing_else(tmp_path):
    go = tmp_path / "go"
    os.mkfifo(go)
    lines = (
        "echo 'listening on x'",
        f'read -r _ < "{go}"',
        "echo 'thread panicked at src/a.rs:7:3: a secret'",
        "exit 101",
    )
    engine = await process.start(script(tmp_path, "\n".join(lines)), Data(tmp_path), Clock().within)
    await asyncio.to_thread(go.write_text, "\n")
    await engine.ended.wait()
    assert await engine.end(keep=True) == "it panicked at src/a.rs:7"
