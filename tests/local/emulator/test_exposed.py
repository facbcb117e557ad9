"""Other machines reach the template's APIs, and with `--expose` everything."""

import json

import pytest
from parley.cli import banner
from parley.emulator.application import Emulator
from parley.emulator.options import Address, FunctionOptions, Options, TemplateOptions
from parley.template.reader import read
from parley.trace import Trace

TEMPLATE = """
Resources:
  Api: {Type: AWS::Serverless::WebSocketApi, Properties: {RouteSelectionExpression: $request.body.action}}
"""
CLOSED = [
    "/_parley/trace",
    "/_parley/dynamodb",
    "/_parley/aws/sqs",
    "/2015-03-31/functions/Any/invocations",
    "/live/@connections/BFaT_fALIAMCKug=",
    "/v1/models",
]


@pytest.fixture
def statuses(tmp_path):
    """Return the statuses that a client on an address gets from a server on `192.0.2.1`, by path."""

    async def statuses(client: str, **options):
        path = tmp_path / "template.yaml"
        path.write_text(TEMPLATE)
        address = Address("192.0.2.1", **options)
        functions = FunctionOptions(mode="inline")
        options = Options(TemplateOptions(path), address, functions, users=(), iam="off")
        emulator = Emulator(options, read(path), {}, Trace())
        emulator._ready.set()
        return {path: await status(emulator, path, client) for path in [*CLOSED, "/anything"]}

    return statuses


async def status(emulator, path, client):
    sent = []
    scope = {
        "type": "http",
        "method": "PUT",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"Host", b"192.0.2.1:8000")],
        "client": (client, 50_000),
        "server": ("192.0.2.1", 8000),
    }

    async def receive():
        return {"type": "http.request", "body": b"{}"}

    async def send(message):
        sent.append(message)

    await emulator(scope, receive, send)
    if sent[0]["status"] == 403 and "--expose" not in json.loads(sent[1]["body"])["message"]:
        return "another 403"
    return sent[0]["status"]


async def test_another_machine_reaches_the_apis_only(statuses):
    found = await statuses("192.0.2.2")
    assert {path for path, status in found.items() if status == 403} == set(CLOSED)


@pytest.mark.parametrize("client", ["127.0.0.1", "192.0.2.1"])
async def test_this_machine_reaches_everything(statuses, client):
    assert 403 not in (await statuses(client)).values()


async def test_with_expose_another_machine_reaches_everything(statuses):
    assert 403 not in (await statuses("192.0.2.2", exposed=True)).values()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (Address(), None),
        (Address("localhost", exposed=True), None),
        (Address("0.0.0.0"), "--expose opens them too"),
        (Address("0.0.0.0", exposed=True), "With --expose they can"),
    ],
)
def test_the_banner_warns_of_other_machines(address, said):
    lines = banner._warnings(address)
    assert said in lines[0] if said else lines == []
