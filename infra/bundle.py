"""The last steps of a bundle: removal of what no function uses, shorter files of botocore, bytecode, check of the size.

`infra/build.mk` runs `bundle.py FOLDER MEGABYTES [whole]` with the Python of the functions. The same packages and the
same code give the same bytes: SAM uploads a bundle once for all functions that have it, and not at all if nothing has
changed.
"""

from __future__ import annotations

import compileall
import gzip
import json
import os
import py_compile
import shutil
import struct
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SERVICES = {"dynamodb", "lambda", "s3", "secretsmanager", "sqs", "ssm"}
"""The services of AWS for which the functions make clients. Posts to connections need no client of botocore."""

METADATA_READERS = {"httpcore2", "httpx2", "opentelemetry_api"}
"""The packages that read their own metadata, with `importlib.metadata`: their version or their entry points."""

UNUSED = {
    "**/*.pyi": "stubs for type checkers",
    "**/py.typed": "marks for type checkers",
    ".lock": "left by uv",
    "bin": "commands",
    "boto3/data": "resources of boto3: the functions have clients only",
    "boto3/examples": "documentation",
    "botocore/data/**/examples-1.json": "documentation",
    "cffi": "needed to build cryptography; at run time it needs _cffi_backend only",
    "pycparser": "needed by cffi only",
    "dateutil/rrule.py": "recurrences of calendars",
    "dateutil/zoneinfo/*.tar.gz": "time zones, for systems that have none; botocore uses UTC",
    "anyio/_backends/_trio.py": "another event loop than asyncio",
    "anyio/pytest_plugin.py": "tests",
    "fastapi/.agents": "documentation",
    "pydantic/mypy.py": "a plugin for mypy",
    "pydantic/v1": "the API of pydantic 1; FastAPI does without it",
    "starlette/testclient.py": "tests",
    "urllib3/contrib/emscripten": "Python in a browser",
    "aws_lambda_powertools/event_handler": "routes of HTTP APIs; ours are FastAPI's",
    **{
        f"aws_lambda_powertools/utilities/{name}": "utilities that the functions do not have"
        for name in (
            "auth_alpha",
            "batch",
            "circuit_breaker",
            "data_classes",
            "data_masking",
            "feature_flags",
            "idempotency",
            "kafka",
            "parser",
            "streaming",
            "validation",
        )
    },
    **{
        f"openai/{kind}/{name}": "APIs beside chat completions; openai loads each at its first use"
        for kind in ("resources", "types")
        for name in ("admin", "beta", "live", "realtime")
    },
}
"""The paths that no function uses, as patterns, and why not. A test imports and calls what is left."""

ALWAYS_UNUSED = {
    "**/*.pyi",
    "**/py.typed",
    ".lock",
    "bin",
    "boto3/examples",
    "botocore/data/**/examples-1.json",
    "fastapi/.agents",
}
"""Those that nobody uses, whoever imports the packages. The framework of an own agent may import the others."""

EMPTIED = {
    f"openai/{package}/__init__.py": "names of all modules in it; openai imports those that it needs by themselves"
    for package in ("types", "types/responses")
}
"""The modules that only import others, which no function uses and the worker would load at each cold start. Empty, they
are still there for those who import what is beside them."""

DEPLOYED_TO = "/var/task"
"""The folder of a bundle in Lambda. Tracebacks name it."""

EPOCH = 315_532_800
"""1980-01-01, the earliest time that a zip archive can hold, and the time of every file."""


def prune(folder: Path, *, whole: bool = False) -> None:
    """Remove what no function uses. With `whole`, packages stay whole: an own agent may use more than our code does."""
    unused = [path for pattern in (ALWAYS_UNUSED if whole else UNUSED) for path in folder.glob(pattern)]
    metadata = [] if whole else _metadata(folder)
    for path in [*unused, *_services(folder), *metadata]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for name in () if whole else EMPTIED:
        if (folder / name).exists():
            (folder / name).write_text("")


def _services(folder: Path) -> list[Path]:
    """Return the folders of services that no function uses. The files beside them hold regions and retries."""
    return [path for path in (folder / "botocore" / "data").glob("*/") if path.is_dir() and path.name not in SERVICES]


def _metadata(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.dist-info") if path.name.partition("-")[0] not in METADATA_READERS]


def slim(folder: Path) -> None:
    """Leave out of botocore's descriptions what it never reads: texts, and the endpoints of services that nobody uses.

    botocore parses all of it at each cold start, the endpoints of 300 services among it.
    """
    data = folder / "botocore" / "data"
    for packed in data.rglob("*.json.gz"):
        description = json.loads(gzip.decompress(packed.read_bytes()))
        _write(
            packed.with_suffix(""), _without_texts(description) if packed.name == "service-2.json.gz" else description
        )
        packed.unlink()
    for path in data.glob("endpoints.json"):
        endpoints = json.loads(path.read_bytes())
        for partition in endpoints["partitions"]:
            partition["services"] = {name: known for name, known in partition["services"].items() if name in SERVICES}
        _write(path, endpoints)


def _without_texts(description: Any) -> Any:
    """Return the description of a service, or a part of it, without its documentation.

    botocore reads one kind of it: that of the parameters of a client. S3 has such parameters.
    """
    if isinstance(description, list):
        return [_without_texts(each) for each in description]
    if not isinstance(description, dict):
        return description
    # A text, and not a member of a shape that has this name.
    texts = {"documentation"} if isinstance(description.get("documentation"), str) else set()
    return {
        name: part if name == "clientContextParams" else _without_texts(part)
        for name, part in description.items()
        if name not in texts
    }


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")


def strip(library: Path) -> None:
    """Cut off what follows the last segment of an ELF file: names for debuggers, which the loader never reads.

    The names in cryptography's library are a quarter of it. `strip` would do, but that of most systems knows one
    processor only. Layout of the headers: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html.
    """
    content = bytearray(library.read_bytes())
    if content[:6] != b"\x7fELF\x02\x01":  # 64 bits, little-endian, as both processors of Lambda
        return
    (first,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    segments = (struct.unpack_from("<IIQQQQ", content, first + number * size) for number in range(count))
    end = max(offset + in_file for _, _, offset, _, _, in_file in segments)
    struct.pack_into("<Q", content, 40, 0)  # No table of sections any more,
    struct.pack_into("<HH", content, 60, 0, 0)  # so no sections, and none with their names.
    library.write_bytes(content[:end])


def compile_all(folder: Path) -> None:
    """Write the bytecode of every module. Lambda cannot keep bytecode, so every cold start would compile again.

    Files lose their times on the way to Lambda, so Python must not compare times: the bytecode has unchecked hashes.
    """
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    if not compileall.compile_dir(
        folder, maxlevels=50, quiet=1, workers=0, invalidation_mode=unchecked, stripdir=folder, prependdir=DEPLOYED_TO
    ):
        raise SystemExit(f"{folder} has modules that Python {sys.version.partition(' ')[0]} cannot compile.")


def normalise(folder: Path) -> None:
    """Give every file the same time and the same rights, whoever builds and whenever."""
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (EPOCH, EPOCH))


def files(folder: Path) -> Iterator[Path]:
    """Yield the files of a bundle, in the order of their names."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def zipped_bytes(folder: Path) -> int:
    """Return the size of the archive that `sam deploy` will upload."""
    with tempfile.TemporaryFile() as archive:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as bundle:
            for path in files(folder):
                bundle.write(path, path.relative_to(folder))
        return archive.tell()


def main(folder: Path, megabytes: float, *, whole: bool = False) -> None:
    """Finish a bundle and print its size. Raises `SystemExit` if its archive is not smaller than `megabytes`."""
    prune(folder, whole=whole)
    slim(folder)
    for library in folder.rglob("*.so"):
        strip(library)
    compile_all(folder)
    normalise(folder)
    zipped, unpacked = zipped_bytes(folder) / 1e6, sum(path.stat().st_size for path in files(folder)) / 1e6
    print(f"{folder.name}: {zipped:.1f} MB zipped, {unpacked:.1f} MB unpacked")
    if zipped >= megabytes:
        raise SystemExit(
            f"The bundle {folder.name} has {zipped:.1f} MB, and its budget is {megabytes:g} MB. "
            f"See what has grown in {folder}. "
            "Then remove it (UNUSED in infra/bundle.py), or raise the budget (infra/build.mk)."
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), whole=sys.argv[3:] == ["whole"])
