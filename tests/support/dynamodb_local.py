"""Runs the tests on AWS's DynamoDB Local: `python -m tests.support.dynamodb_local [arguments of pytest]`.

DynamoDB Local is a Java program whose licence forbids passing it on, so it is not in this repository: npm fetches it,
once, into an ignored folder.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from tests.support.devices import ROOT, free_port
from tests.support.dynamodb import VARIABLE

FOLDER = ROOT / ".dynamodb-local"
PACKAGE, VERSION = "amplify-dynamodb-simulator", "2.9.30"
SHA512 = "xTeeRLvzEfqyd5lh3bH4c0kHvSHHmmhD5ZDsHFKAQ5g2Zl6JqlFdutaQhCLHzxEp6Ry1o7TB6niIoXuQAnSewQ=="
INSIDE = "package/emulator"
TESTS = ("tests/handlers", "tests/chat", "tests/faults", "tests/local/dynamodb/test_differences.py")
START_SECONDS = 60


class Missing(Exception):
    """Something that this needs is not there. The text says what, and the next step."""


def main(arguments: Sequence[str]) -> int:
    """Run pytest on DynamoDB Local and return its exit code; 1 where it cannot begin."""
    try:
        java = program("java", "Java 8 or later")
        with running(java, fetched()) as url:
            command = [sys.executable, "-m", "pytest", *chosen(arguments), *arguments]
            return subprocess.run(command, cwd=ROOT, env=os.environ | {VARIABLE: url}, check=False).returncode
    except Missing as missing:
        print(f"{missing} `make test` needs none of this.", file=sys.stderr)
        return 1


def chosen(arguments: Sequence[str]) -> list[str]:
    """Return what to test: all that needs a database, unless an argument names a file or a folder."""
    if any(argument.startswith("tests/") for argument in arguments):
        return []
    return [name for name in TESTS if (ROOT / name).exists()]


def program(name: str, what: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Missing(f"No `{name}` here: DynamoDB Local needs {what}.")
    return found


def fetched() -> Path:
    """Return the folder with DynamoDBLocal.jar; fetch it where it is not there yet."""
    folder = FOLDER / VERSION
    if not folder.exists():
        npm = program("npm", "npm to be fetched")
        print(
            f"Fetching AWS's DynamoDB Local into {FOLDER.name}, only once. Its licence is for those who have an AWS "
            f"account: {FOLDER.name}/{VERSION}/LICENSE.txt",
            flush=True,
        )
        FOLDER.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=FOLDER) as unfinished:
            unpack(download(npm, Path(unfinished)), Path(unfinished) / VERSION)
            (Path(unfinished) / VERSION).rename(folder)
    return folder


def download(npm: str, folder: Path) -> Path:
    """Fetch the package from the npm registry, or the one that npm is set to, and return the archive."""
    packing = subprocess.run(
        [npm, "pack", "--loglevel=error", f"{PACKAGE}@{VERSION}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    archive = folder / f"{PACKAGE}-{VERSION}.tgz"
    if packing.returncode != 0 or not archive.exists():
        reason = packing.stderr.strip() or f"exit code {packing.returncode}"
        raise Missing(f"npm could not fetch {PACKAGE} {VERSION}: {reason}\nIs the registry of `npm config` reachable?")
    return archive


def unpack(archive: Path, folder: Path) -> None:
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if digest != SHA512:
        raise Missing(f"{archive.name} is not what it was: its SHA-512 is {digest}, not {SHA512}.")
    with tarfile.open(archive) as content:
        for member in content:
            path = PurePosixPath(member.name)
            if member.isfile() and path.is_relative_to(INSIDE):
                target = folder / path.relative_to(INSIDE)
                target.parent.mkdir(parents=True, exist_ok=True)
                file = content.extractfile(member)
                assert file is not None, "a member that is a file"
                target.write_bytes(file.read())


@contextmanager
def running(java: str, folder: Path) -> Iterator[str]:
    """Run DynamoDB Local, in memory, and give its URL. It listens on all interfaces: it has no option for less."""
    port = free_port()
    options = ["-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(port)]
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [java, "-Djava.library.path=./DynamoDBLocal_lib", "-jar", "DynamoDBLocal.jar", *options],
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            if not answers(url, process):
                output.seek(0)
                raise Missing(f"DynamoDB Local did not start:\n{output.read().strip()}\nIt needs Java 8 or later.")
            yield url
        finally:
            process.terminate()
            process.wait()


def answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    """Wait until it does. False where the process has ended, or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=START_SECONDS).close()
        except urllib.error.HTTPError:  # to a request that is none of DynamoDB's it says 400
            return True
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
