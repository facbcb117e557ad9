"""The steps that finish a bundle, on made-up folders (`infra/bundle.py`)."""

from __future__ import annotations

import ast
import gzip
import json
import marshal
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import boto3
import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.loaders import Loader

from infra import bundle

ROOT = Path(__file__).parents[2]
CLIENTS_OF_PACKAGES = {
    "dynamodb": "from pynamodb",
    "ssm": "from aws_lambda_powertools.utilities import parameters",
    "secretsmanager": "from aws_lambda_powertools.utilities import parameters",
}
"""The clients that handlers make through a package, and how they import it."""


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")


def left(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in bundle.files(folder)}


def services_of_handlers() -> set[str]:
    """Return the first arguments of all calls of `client` in handlers."""
    return {
        ast.literal_eval(node.args[0])
        for source in (ROOT / "handlers").rglob("*.py")
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "client"
    }


def test_the_services_that_are_kept_are_those_of_the_clients():
    assert services_of_handlers() | set(CLIENTS_OF_PACKAGES) == bundle.SERVICES


@pytest.mark.parametrize("service", CLIENTS_OF_PACKAGES)
def test_handlers_do_import_the_packages_that_make_clients(service):
    sources = (source.read_text() for source in (ROOT / "handlers").rglob("*.py"))
    assert any(CLIENTS_OF_PACKAGES[service] in source for source in sources)


def test_only_services_that_are_used_stay(tmp_path):
    data = "botocore/data"
    write(tmp_path, f"{data}/endpoints.json", f"{data}/sqs/2012/service-2.json.gz", f"{data}/sns/1/service-2.json.gz")
    bundle.prune(tmp_path)
    assert left(tmp_path) == {f"{data}/endpoints.json", f"{data}/sqs/2012/service-2.json.gz"}


def test_only_metadata_that_is_read_stays(tmp_path):
    write(tmp_path, "httpx2-1.0.dist-info/METADATA", "boto3-1.0.dist-info/METADATA")
    bundle.prune(tmp_path)
    assert left(tmp_path) == {"httpx2-1.0.dist-info/METADATA"}


def test_what_is_unused_goes(tmp_path):
    write(tmp_path, "bin/httpx", ".lock", "pydantic/v1/main.py", "pydantic/main.py", "pydantic/main.pyi")
    bundle.prune(tmp_path)
    assert left(tmp_path) == {"pydantic/main.py"}


def test_a_whole_bundle_keeps_what_our_code_does_not_use(tmp_path):
    kept = {"pydantic/v1/main.py", "boto3-1.0.dist-info/METADATA", "openai/types/beta/x.py", *bundle.EMPTIED}
    write(tmp_path, *kept, "bin/httpx", "pydantic/main.pyi", "botocore/data/ec2/2006/service-2.json.gz")
    for module in bundle.EMPTIED:
        (tmp_path / module).write_text("from . import x\n")
    bundle.prune(tmp_path, whole=True)
    assert left(tmp_path) == kept
    assert all((tmp_path / module).read_text() for module in bundle.EMPTIED)
    assert bundle.UNUSED.keys() >= bundle.ALWAYS_UNUSED


@pytest.mark.parametrize(("variables", "deployed"), [([], False), (["AGENTS=agents"], True)], ids=["without", "with"])
def test_frameworks_of_own_agents_are_deployed_on_demand_and_in_the_worker_only(tmp_path, variables, deployed):
    bundles = [f"{tmp_path}/{kind}.built" for kind in ("functions", "generate", "clients")]
    command = ["make", "--silent", "--dry-run", *bundles, f"BUNDLES={tmp_path}", *variables]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    exports = [line for line in done.stdout.splitlines() if " export " in line]
    assert ["--only-group agents" in line for line in exports] == [False, deployed, False]
    assert done.stdout.count(" whole > ") == deployed


@pytest.mark.parametrize("module", bundle.EMPTIED)
def test_a_module_that_is_emptied_only_imports_others(module, tmp_path):
    source = Path(boto3.__file__).parents[1] / module
    statements = ast.parse(source.read_text()).body
    assert {type(each) for each in statements} <= {ast.ImportFrom}
    write(tmp_path, module)
    (tmp_path / module).write_text(source.read_text())
    bundle.prune(tmp_path)
    assert (tmp_path / module).read_text() == ""


def test_descriptions_of_services_lose_their_texts_and_nothing_else(tmp_path):
    shape = {
        "type": "structure",
        "documentation": "<p>",
        "members": {"documentation": {"shape": "S", "documentation": "<p>"}},
    }
    data = tmp_path / "botocore" / "data"
    folder = data / "sqs" / "2012"
    folder.mkdir(parents=True)
    (folder / "service-2.json.gz").write_bytes(gzip.compress(json.dumps({"shapes": {"M": shape}}).encode()))
    (folder / "endpoint-rule-set-1.json.gz").write_bytes(gzip.compress(b'{"documentation": "kept"}'))
    services = {"sqs": {"endpoints": {}}, "sns": {"endpoints": {}}}
    (data / "endpoints.json").write_text(json.dumps({"partitions": [{"regions": {"r": {}}, "services": services}]}))
    bundle.slim(tmp_path)
    described = {path.name: json.loads(path.read_text()) for path in (*folder.iterdir(), data / "endpoints.json")}
    assert described == {
        "service-2.json": {"shapes": {"M": {"type": "structure", "members": {"documentation": {"shape": "S"}}}}},
        "endpoint-rule-set-1.json": {"documentation": "kept"},
        "endpoints.json": {"partitions": [{"regions": {"r": {}}, "services": {"sqs": {"endpoints": {}}}}]},
    }


@pytest.fixture(scope="module")
def slim_session(tmp_path_factory):
    """A session of botocore that has nothing but the descriptions of a bundle."""
    folder = tmp_path_factory.mktemp("bundle")
    source, data = Path(botocore.__file__).parent / "data", folder / "botocore" / "data"
    for service in bundle.SERVICES:
        shutil.copytree(source / service, data / service)
    for file in source.glob("*.json*"):
        shutil.copy(file, data)
    bundle.prune(folder)
    bundle.slim(folder)
    session = botocore.session.Session()
    session.register_component("data_loader", Loader([str(data)], include_default_search_paths=False))
    session.set_credentials("key", "secret")
    return session


REQUESTS = {
    "dynamodb": ("list_tables", {}),
    "lambda": ("list_functions", {}),
    "s3": ("list_objects_v2", {"Bucket": "b"}),
    "secretsmanager": ("list_secrets", {}),
    "sqs": ("list_queues", {}),
    "ssm": ("describe_parameters", {}),
}


@pytest.mark.parametrize("service", sorted(bundle.SERVICES))
def test_what_is_left_of_a_description_is_enough_for_a_request(slim_session, service):
    operation, arguments = REQUESTS[service]
    client = slim_session.create_client(service, region_name="eu-central-1")
    urls, body = [], b"<empty/>" if service == "s3" else b"{}"

    def answer(request, **_):
        urls.append(request.url)
        return AWSResponse(request.url, 200, {}, SimpleNamespace(stream=lambda **_: iter([body])))

    client.meta.events.register("before-send", answer)
    getattr(client, operation)(**arguments)
    assert f"{service}.eu-central-1.amazonaws.com" in urls[0]


@pytest.mark.parametrize("pattern", sorted(set(bundle.UNUSED) - {".lock", "bin"}))
def test_each_pattern_of_what_is_unused_matches_something(pattern):
    """One that matches nothing has lost its purpose, or its aim. uv makes the two that are left out here."""
    site_packages = Path(boto3.__file__).parents[1]
    assert next(site_packages.glob(pattern), None)


def test_bytecode_names_the_folder_in_lambda_and_is_never_compared_with_its_source(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "module.py").write_text("def f(): pass\n")
    bundle.compile_all(tmp_path)

    [bytecode] = tmp_path.rglob("*.pyc")
    content = bytecode.read_bytes()
    # https://peps.python.org/pep-0552/: the flags 0b01 are a hash that is not checked.
    assert content[4:8] == b"\x01\0\0\0"
    assert marshal.loads(content[16:]).co_filename == "/var/task/package/module.py"


def test_a_module_that_cannot_be_compiled_is_an_error(tmp_path):
    (tmp_path / "module.py").write_text("print 'Python 2'\n")
    with pytest.raises(SystemExit, match="cannot compile"):
        bundle.compile_all(tmp_path)


def test_times_and_rights_are_always_the_same(tmp_path):
    write(tmp_path, "package/module.py")
    (tmp_path / "package/module.py").chmod(0o700)
    bundle.normalise(tmp_path)
    states = [(tmp_path / name).stat() for name in (".", "package", "package/module.py")]
    assert [oct(state.st_mode)[-3:] for state in states] == ["755", "755", "644"]
    assert {state.st_mtime for state in states} == {bundle.EPOCH}


@pytest.mark.skipif(sys.platform != "linux", reason="libraries are ELF files on Linux only")
def test_a_library_without_names_for_debuggers_still_loads(tmp_path):
    import jiter.jiter

    library = tmp_path / Path(jiter.jiter.__file__).name
    library.write_bytes(Path(jiter.jiter.__file__).read_bytes())
    before = library.stat().st_size
    bundle.strip(library)

    assert library.stat().st_size < before
    code = "import jiter; assert jiter.from_json(b'[1]') == [1]"
    subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"], check=True
    )


def test_what_is_no_library_for_linux_stays_as_it_is(tmp_path):
    library = tmp_path / "library.so"
    library.write_bytes(b"\xcf\xfa\xed\xfe of macOS")
    bundle.strip(library)
    assert library.read_bytes() == b"\xcf\xfa\xed\xfe of macOS"


def test_the_size_is_printed(tmp_path, capsys):
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "noise").write_bytes(os.urandom(1_500_000))
    bundle.main(tmp_path / "functions", 1.6)
    assert capsys.readouterr().out == "functions: 1.5 MB zipped, 1.5 MB unpacked\n"


def test_a_bundle_over_its_budget_is_an_error_that_says_what_to_do(tmp_path):
    (tmp_path / "noise").write_bytes(os.urandom(1_500_000))
    with pytest.raises(SystemExit, match=r"has 1\.5 MB, and its budget is 1 MB.*infra/bundle\.py.*infra/build\.mk"):
        bundle.main(tmp_path, 1)


def test_a_build_without_its_python_is_an_error_that_says_what_to_do(tmp_path):
    command = ["make", "--silent", f"{tmp_path}/functions.built", f"BUNDLES={tmp_path}", "LAMBDA_PYTHON=3.99"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert "No Python 3.99 here" in done.stderr
    assert "Install Python 3.99" in done.stderr
    assert not (tmp_path / "functions.built").exists()


def test_a_build_without_a_network_is_an_error_that_says_what_to_do(tmp_path):
    version = f"LAMBDA_PYTHON={sys.version_info.major}.{sys.version_info.minor}"
    command = ["make", "--silent", f"{tmp_path}/functions.built", f"BUNDLES={tmp_path}", version]
    nowhere = {"UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(command, cwd=ROOT, env=os.environ | nowhere, capture_output=True, text=True)
    assert done.returncode != 0
    assert "The packages of the bundle functions cannot be installed" in done.stderr
    assert not (tmp_path / "functions.built").exists()
