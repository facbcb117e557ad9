"""The emulator on each engine of its own: Dynoxide, which is the default, and moto, the fallback."""

import os
import signal
import subprocess
import sys

import pytest
from botocore.exceptions import ClientError

from tests.support import engines
from tests.support.devices import Device, Emulator, free_port
from tests.support.faulty_emulator import FaultyEmulator, put
from tests.support.process_tree import command, descendants
from tests.support.waiting import until

DESCRIPTIONS = {
    engines.DYNOXIDE: "embedded: Dynoxide; its tables are gone when the emulator ends",
    engines.MOTO: "embedded: moto, which takes much that AWS refuses (--dynamodb moto)",
}


@pytest.fixture(scope="module", params=engines.ENGINES)
def engine(request):
    if request.param == engines.DYNOXIDE:
        engines.binary()
    return request.param


@pytest.fixture(scope="module")
def emulator(engine, tmp_path_factory):
    dynamodb = "embedded" if engine == engines.DYNOXIDE else engine
    emulator = FaultyEmulator(tmp_path_factory.mktemp(engine), {}, PARLEY_DYNAMODB=dynamodb)
    yield emulator
    emulator.stop()


def add_one(emulator, row, **more):
    """Add one in a transaction, by a client that repeats what got no answer, as it does by default."""
    update = {
        "TableName": "Rows",
        "Key": {"id": {"S": row}},
        "UpdateExpression": "ADD runs :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
    emulator.client("dynamodb").transact_write_items(TransactItems=[{"Update": update}], **more)


def test_the_banner_names_the_engine_and_what_follows(emulator, engine):
    [line] = [line for line in emulator.output if line.startswith("  DynamoDB")]
    assert line == f"  DynamoDB      {DESCRIPTIONS[engine]}\n"


def test_a_transaction_whose_answer_is_lost_has_one_effect(emulator):
    emulator.plan({"point": "store", "do": "cut", "match": ["TransactWriteItems"], "times": 2})
    add_one(emulator, "lost")
    assert emulator.hits() == [2]
    assert emulator.runs("lost") == 1


def test_a_transaction_that_is_refused_by_a_fault_is_carried_out_when_it_is_repeated(emulator):
    emulator.plan({"point": "store", "do": "500", "match": ["TransactWriteItems"]})
    add_one(emulator, "refused")
    assert emulator.runs("refused") == 1


def test_the_trace_has_the_units_of_each_call(emulator):
    number = emulator.request("GET", "/_parley/trace")[1][-1]["number"]
    table, key = {"TableName": "Rows"}, {"Key": {"id": {"S": "metered"}}}
    emulator.dynamodb.put_item(**table, Item={**key["Key"], "text": {"S": "x" * 1500}})
    emulator.dynamodb.get_item(**table, **key)
    add_one(emulator, "metered too")
    calls = emulator.request("GET", f"/_parley/trace?after={number}")[1]
    assert [(call["operation"], call["units"]) for call in calls if call.get("service") == "dynamodb"] == [
        ("PutItem", 2),
        ("GetItem", 0.5),
        ("TransactWriteItems", 2),
    ]


def test_an_engine_that_dies_runs_again(tmp_path):
    """The row is still there or, where data cannot be kept, the requests say so."""
    engines.binary()
    emulator = FaultyEmulator(tmp_path, {})
    try:
        emulator.dynamodb.put_item(**put("kept"))
        [engine] = [
            pid for pid in descendants(emulator.process.pid) if command(pid).partition(" ")[0].endswith("/dynoxide")
        ]
        os.kill(engine, signal.SIGKILL)
        until(lambda: what_is_kept(emulator) in ("the row", "its tables with it; start the emulator again"))
    finally:
        emulator.stop()


def what_is_kept(emulator):
    """Read the row. A request that is on its way when the engine dies has no other answer than its cause."""
    try:
        return "the row" if emulator.runs("kept") else "nothing"
    except ClientError as error:
        return error.response["Error"]["Message"].partition("ended by SIGKILL, and ")[2].partition(". AWS")[0]


def test_a_conversation_on_the_fallback():
    emulator = Emulator(PARLEY_DYNAMODB=engines.MOTO)
    try:
        device = Device(emulator.websocket_url)
        device.join("alice")
        chat_id = device.create_chat()
        device.ask("hello")
        assert [each["role"] for each in device.join("alice", chat_id)["messages"]] == ["user", "assistant"]
        device.socket.close()
        assert emulator.missing() == []
    finally:
        emulator.stop()


WITHOUT_MOTO = """
import os, signal, sys, threading

class Witness:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "moto":
            print("moto is imported", flush=True)

class Out:
    def __init__(self, out):
        self.out = out
    def write(self, text):
        self.out.write(text)
        if "  Trace " in text:
            os.kill(os.getpid(), signal.SIGTERM)
    def __getattr__(self, name):
        return getattr(self.out, name)

sys.meta_path.insert(0, Witness())
sys.stdout = Out(sys.stdout)

from parley.cli.main import main
main(sys.argv[1:])
"""

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Rows: {Type: AWS::Serverless::SimpleTable}
  Function:
    Type: AWS::Serverless::Function
    Properties: {Runtime: python3.12, Handler: index.handler, InlineCode: "def handler(event, context): pass"}
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      RouteSelectionExpression: $request.body.action
      Routes: {$default: {FunctionArn: !GetAtt Function.Arn}}
"""


@pytest.mark.parametrize(("dynamodb", "imported"), [("embedded", False), ("moto", True)])
def test_moto_is_imported_only_if_it_is_used(tmp_path, dynamodb, imported):
    engines.binary()
    template = tmp_path / "template.yaml"
    template.write_text(TEMPLATE)
    command = [sys.executable, "-c", WITHOUT_MOTO, "up", "--template", template, "--port", str(free_port())]
    done = subprocess.run([*command, "--dynamodb", dynamodb], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "Parley is up" in done.stdout
    assert ("moto is imported" in done.stdout) == imported
