"""The bundles that are deployed: what they hold, that they suffice, and that the emulator talks with them.

They are built as `sam build` builds them, but for this machine's Python and processor, so that they run here.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from urllib.request import Request, urlopen

import pytest
from parley.dev_tokens import token
from parley.template.source import load

from infra import bundle
from tests.support.completions_server import CompletionsServer
from tests.support.devices import SECRET, Device, Emulator
from tests.support.waiting import HANGS, until

pytestmark = pytest.mark.full

ROOT = Path(__file__).parents[2]
SAM = ROOT / ".venv-sam" / "bin" / "sam"
HERE = (
    f"LAMBDA_PYTHON={sys.version_info.major}.{sys.version_info.minor}",
    f"LAMBDA_PLATFORM={platform.machine()}-manylinux2014",
)

ENTRY_POINTS = {
    "functions": {"deliver", "disconnect", "erase", "expire"},
    "generate": {"generate"},
    "clients": {"api", "connect", "default"},
}
KINDS = tuple(ENTRY_POINTS)
EVERYWHERE = {"boto3", "pynamodb", "pydantic", "aws_lambda_powertools", "uuid_utils"}
OWN = {"functions": set(), "generate": {"openai"}, "clients": {"jwt", "cryptography", "fastapi", "mangum"}}
MEGABYTES = {"functions": 7, "generate": 13, "clients": 13}

READ_METADATA_AT_NEED = {"pydantic/networks", "pydantic/plugin/_loader", "pydantic/version", "urllib3/http2/__init__"}
"""Modules that look for other packages' metadata, and do without."""


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["make", "--silent", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def bundles(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    make("--jobs=2", "bundles", f"BUNDLES={folder}", *HERE)
    return folder


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def built(bundles, tmp_path_factory) -> Path:
    """The output of `make build`: the template, with a folder for each function."""
    assert SAM.exists(), "no SAM CLI in .venv-sam: run make test"
    folder = tmp_path_factory.mktemp("built")
    configuration = ("--config-file", ROOT / "infra" / "samconfig.toml", "--template-file", "infra/template.yaml")
    variables = {"SAM_CLI_TELEMETRY": "0", "MAKEFLAGS": " ".join([f"BUNDLES={bundles}", *HERE])}
    command = [SAM, "build", *configuration, "--build-dir", folder]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def modules(folder: Path) -> set[str]:
    return {str(source.relative_to(folder.parent)) for source in folder.rglob("*.py")}


def digest(folder: Path) -> str:
    """Return a hash of names and contents. By the same SAM knows what it has uploaded (samcli/lib/utils/hash.py)."""
    total = hashlib.sha256()
    for path in bundle.files(folder):
        total.update(f"{path.relative_to(folder)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def run(folder: Path, code: str, **variables: str) -> str:
    """Run code in a Python that has the bundle and the standard library, and no other package."""
    start = f"import sys; sys.path.insert(0, {str(folder)!r})\n"
    environment = {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "JWT_SECRET": "x" * 32} | variables
    environment["AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"] = "https://abc.execute-api.us-east-1.amazonaws.com/live"
    command = [sys.executable, "-I", "-S", "-B", "-c", start + code]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_handlers_are_those_that_its_functions_may_import(bundles, kind):
    closed = {"handlers/http/": "clients", "handlers/chat/replies/": "generate"}
    wanted = {
        name
        for name in modules(ROOT / "handlers")
        if all(kind == only or not name.startswith(folder) for folder, only in closed.items())
    }
    assert modules(bundles / kind / "handlers") == wanted


def test_it_holds_nothing_else_of_this_repository(bundles, kind):
    repository = {entry.name for entry in ROOT.iterdir()} | {"parley"}
    documents = {"docs"} if kind == "clients" else set()
    assert {entry.name for entry in (bundles / kind).iterdir()} & repository == {"handlers", *documents}
    assert {entry.name for entry in (bundles / kind / "docs").glob("*")} == {"asyncapi.json" for _ in documents}


def test_it_holds_the_packages_of_its_groups_only(bundles, kind):
    for package in EVERYWHERE.union(*OWN.values()):
        assert (bundles / kind / package).is_dir() == (package in EVERYWHERE | OWN[kind]), package


def test_every_entry_is_named_by_its_requirements(bundles, kind):
    """A package that nobody asked for would make each cold start and each upload larger."""
    requirements = (bundles / f"{kind}.txt").read_text()
    asked = {name.lower().replace("-", "_") for name in re.findall(r"^([\w.-]+)==", requirements, re.MULTILINE)}
    owners = importlib.metadata.packages_distributions()
    for entry in (bundles / kind).iterdir():
        name = entry.name.partition(".")[0].partition("-")[0]
        if name not in ("handlers", "docs", "__pycache__") and not entry.name.endswith(".dist-info"):
            assert {owner.lower().replace("-", "_") for owner in owners[name]} & asked, entry.name


def test_who_reads_metadata_still_has_it(bundles, kind):
    readers = {
        str(source.relative_to(bundles / kind).with_suffix(""))
        for source in (bundles / kind).rglob("*.py")
        if b"importlib.metadata" in (content := source.read_bytes())
        for node in ast.walk(ast.parse(content))
        if (isinstance(node, ast.ImportFrom) and node.module == "importlib.metadata")
        or (isinstance(node, ast.Import) and any(alias.name == "importlib.metadata" for alias in node.names))
    }
    packages = {reader.partition("/")[0] for reader in readers - READ_METADATA_AT_NEED}
    kept = {entry.name.partition("-")[0] for entry in (bundles / kind).glob("*.dist-info")}
    assert {name.removesuffix("_api") for name in kept} == packages


def test_every_module_has_its_bytecode(bundles, kind):
    sources = {path.relative_to(bundles / kind) for path in (bundles / kind).rglob("*.py")}
    tag = sys.implementation.cache_tag
    compiled = {
        path.relative_to(bundles / kind).parent.parent / path.name.replace(f".{tag}.pyc", ".py")
        for path in (bundles / kind).rglob("*.pyc")
    }
    assert compiled == sources


def test_no_file_of_it_is_also_a_file_of_the_cache(bundles, kind):
    """The build changes files. One that is a link would change in every environment of this machine."""
    assert [path for path in bundle.files(bundles / kind) if path.stat().st_nlink > 1] == []


def test_it_is_below_its_budget(bundles, kind):
    [size] = re.findall(rf"^{kind}: ([\d.]+) MB zipped", (bundles / f"{kind}.built").read_text())
    assert 0 < float(size) <= MEGABYTES[kind]


def test_the_largest_one_is_below_its_budget_as_it_is_deployed(tmp_path):
    """Built for the Python and the processor of the functions. The build fails by itself if it is too large."""
    command = ["make", "--silent", f"{tmp_path}/clients.built", f"BUNDLES={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if "No Python" in done.stderr:
        pytest.skip("the Python of the functions is not here, and cannot be downloaded")
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.rglob("_rust*.so"))
    assert list(tmp_path.rglob("handlers/__pycache__/api.cpython-313.pyc"))


def test_the_same_sources_make_the_same_bundle(bundles, tmp_path):
    make(f"{tmp_path}/functions.built", f"BUNDLES={tmp_path}", *HERE)
    assert digest(tmp_path / "functions") == digest(bundles / "functions")


def test_nine_functions_are_three_uploads(built, bundles):
    uploads = {function.name: digest(function) for function in built.iterdir() if function.is_dir()}
    assert len(uploads) == 9
    assert set(uploads.values()) == {digest(bundles / kind) for kind in KINDS}


def test_functions_that_check_tokens_have_what_it_takes(built):
    resources = load((built / "template.yaml").read_text())["Resources"]
    for function in (entry for entry in built.iterdir() if entry.is_dir()):
        variables = resources[function.name]["Properties"].get("Environment", {}).get("Variables", {})
        assert (function / "cryptography").exists() == ("JWT_JWKS_URL" in variables), function.name


def test_it_has_all_that_its_entry_points_import(bundles, kind):
    imports = "\n".join(f"import handlers.{name}" for name in sorted(ENTRY_POINTS[kind]))
    report = "print(*(m.__file__ for m in list(sys.modules.values()) if getattr(m, '__file__', None)), sep='\\n')"
    files = run(bundles / kind, f"{imports}\n{report}").splitlines()
    elsewhere = [file for file in files if "site-packages" in file]
    assert elsewhere == []


def test_all_entry_points_are_tried():
    modules = {source.stem for source in ROOT.glob("handlers/*.py")}
    assert set().union(*ENTRY_POINTS.values()) == modules - {"__init__", "wiring", "collector"}


def test_it_makes_every_client(bundles, kind):
    code = """
from handlers.chat.aws import SESSION
for service in SERVICES:
    client = SESSION.client(service)
    assert client.meta.endpoint_url.startswith("https://"), service
    print(service, len(client.meta.service_model.operation_names) > 5)
from aws_lambda_powertools.utilities import parameters
parameters.SSMProvider(), parameters.SecretsProvider()
import dateutil.tz
assert dateutil.tz.tzlocal() and dateutil.tz.tzutc()
"""
    services = sorted(bundle.SERVICES)
    printed = run(bundles / kind, f"SERVICES = {services!r}\n{code}").splitlines()
    assert printed == [f"{service} True" for service in services]


def test_secrets_are_read_by_name(bundles, kind):
    """The client gets as far as the request: what fails is the address, which nobody serves."""
    code = """
from handlers.chat.errors import Misconfigured
from handlers.chat.identity.secrets import value_of
for name in ("ssm:/parley", "secretsmanager:parley"):
    try:
        value_of(name)
    except Misconfigured as error:
        print("Could not connect" in str(error))
"""
    nobody = {f"AWS_ENDPOINT_URL_{service}": "http://127.0.0.1:1" for service in ("SSM", "SECRETS_MANAGER")}
    keys = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_MAX_ATTEMPTS": "1"}
    assert run(bundles / kind, code, **nobody, **keys).split() == ["True", "True"]


def test_keys_of_an_identity_provider_are_checked(bundles):
    code = """
import json, jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
for name, private, kind in (
    ("RS256", rsa.generate_private_key(65537, 2048), RSAAlgorithm),
    ("ES256", ec.generate_private_key(ec.SECP256R1()), ECAlgorithm),
):
    public = jwt.PyJWK(json.loads(kind.to_jwk(private.public_key())), algorithm=name)
    print(jwt.decode(jwt.encode({"sub": name}, private, name), public, [name])["sub"])
"""
    assert run(bundles / "clients", code).split() == ["RS256", "ES256"]


@pytest.mark.parametrize("with_assistants", ["generate", "clients"])
def test_the_files_of_assistants_are_found_in_a_bundle(bundles, with_assistants):
    code = "from handlers.chat.assistants.registry import load; print(*(each.id for each in load()))"
    ours = {path.stem for path in (ROOT / "handlers" / "assistants").glob("[!_]*.py")}
    assert set(run(bundles / with_assistants, code).split()) == ours


def test_the_worker_asks_a_model_again_and_reads_its_answer_and_its_refusal(bundles):
    code = """
import handlers.generate
from handlers.chat.errors import ModelFailed
from handlers.chat.records import Role
from handlers.chat.replies.messages import PromptMessage
from handlers.chat.replies.prompt import Question
model = handlers.generate.worker._generation.asking.model
question = Question((PromptMessage(Role.USER, "Hi"),))
print("".join(delta.text for delta in model.answer(question)))
try:
    list(model.answer(question))
except ModelFailed as failure:
    print(failure)
"""
    answer = b'data: {"choices":[{"delta":{"content":"Hello"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    server = CompletionsServer()
    server.answers = [(503, b"{}"), (200, answer), (401, b'{"error":{"message":"no","code":"wrong_key"}}')]
    with serving(server):
        url = f"http://127.0.0.1:{server.server_port}/v1"
        printed = run(bundles / "generate", code, OPENAI_BASE_URL=url, OPENAI_API_KEY="k").splitlines()
    assert printed == ["Hello", "AuthenticationError 401, code wrong_key"]


@contextmanager
def serving(server: CompletionsServer) -> Iterator[None]:
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def emulator(built) -> Iterator[Emulator]:
    emulator = Emulator(PARLEY_TEMPLATE=str(built / "template.yaml"), ANONYMOUS_SECONDS="1", PARLEY_USERS="alice")
    yield emulator
    emulator.stop()


def test_the_emulator_holds_a_conversation_with_them(emulator):
    # With a token in the URL she has all the time that she needs; without one it is a second.
    alice = Device(f"{emulator.websocket_url}?token={token('alice', SECRET)}")
    anonymous = Device(emulator.websocket_url)
    alice.join("alice")
    chat_id = alice.create_chat()
    complete = alice.ask("What goes into borscht?")[-1]["data"]
    assert complete["finishReason"] == "stop"
    assert "borscht" in complete["content"]

    authorization = {"authorization": f"Bearer {token('alice', SECRET)}"}
    path = f"{emulator.url}/chats/{chat_id}"
    with urlopen(Request(f"{path}/messages", headers=authorization), timeout=HANGS) as answer:
        assert [message["role"] for message in json.load(answer)["messages"]] == ["user", "assistant"]
    with urlopen(Request(path, headers=authorization, method="DELETE"), timeout=HANGS) as answer:
        assert answer.status == 204
    with urlopen(f"{emulator.url}/asyncapi.json", timeout=HANGS) as answer:
        assert answer.read() == (ROOT / "docs" / "asyncapi.json").read_bytes()
    while alice.receive_any()["type"] != "chat_deleted":
        pass
    assert anonymous.closing_code() == 1000
    alice.socket.close()


def test_no_function_has_failed_and_all_but_one_have_run(emulator):
    """GiveUpFunction runs only if every try of a worker has failed. It is the same bundle as GenerateFunction."""
    functions = {"Connect", "Disconnect", "Default", "Generate", "Deliver", "Erase", "Expire", "Api"}

    def ended() -> set[str]:
        with urlopen(f"{emulator.url}/_parley/trace", timeout=HANGS) as answer:
            ends = [event for event in json.load(answer) if event["kind"] == "end"]
        assert [event for event in ends if event["error"]] == []
        return {event["function"] for event in ends}

    until(lambda: ended() == {f"{name}Function" for name in functions})
