"""Reload: what is saved while the emulator runs."""

import json
import threading
import urllib.request

import pytest
from websockets.exceptions import ConnectionClosed

from tests.support.edited_project import EditedProject
from tests.support.waiting import HANGS

ANSWER = "def handler(event, context):\n    return {!r}\n"

WAIT = """
import os, time
from pathlib import Path

def handler(event, context):
    if event and "folder" in event:
        folder = Path(event["folder"])
        (folder / f"{os.getpid()}.began").touch()
        while not (folder / "go").exists():
            time.sleep(0.01)
    return "%s"
"""

REPLY = """
import boto3, os

def handler(event, context):
    context_of = event["requestContext"]
    client = boto3.client("apigatewaymanagementapi", endpoint_url=f"https://{context_of['domainName']}/{context_of['stage']}")
    if context_of["eventType"] == "MESSAGE":
        client.post_to_connection(ConnectionId=context_of["connectionId"], Data=b"%s")
    return {"statusCode": 200}
"""

TABLE = """
  Rows:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: rows
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: %s, AttributeType: S}]
      KeySchema: [{AttributeName: %s, KeyType: HASH}]
"""

RUBBISH = ("{{{", "", "- a list", "Resources: {A: {Type: 3}}", "\x00", "Resources: 7")

SCHEDULE = ", Events: {Tick: {Type: Schedule, Properties: {Schedule: %s}}}"

BUCKET = """
  Uploads: {Type: AWS::S3::Bucket, Properties: {BucketName: uploads}}
"""

OTHER_API = """
  Other:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: second
      RouteSelectionExpression: $request.body.action
      Routes: {$default: {FunctionArn: !GetAtt Echo.Arn}}
"""

LAYERS = """
  One: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: one}}
  Two: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: two}}
"""

SECOND = """
  Second:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: second, Handler: app.handler}
"""


@pytest.fixture
def project(tmp_path):
    started = []

    def start(code, more="", resources="", **variables):
        started.append(EditedProject(tmp_path, code, more, resources, **variables))
        return started[-1]

    yield start
    for each in started:
        each.stop()


class TestCode:
    def test_the_first_event_after_a_save_gets_the_new_code(self, project):
        it = project(ANSWER.format(0))
        assert it.ask() == 0
        for number in range(1, 10):  # of the same size, and several in one second
            it.write("code/app.py", ANSWER.format(number))
            assert it.ask() == number

    def test_so_it_does_if_the_file_is_written_in_place(self, project):
        it = project(ANSWER.format(0))
        for number in range(1, 10):
            (it.folder / "code" / "app.py").write_text(ANSWER.format(number))
            assert it.ask() == number

    def test_a_new_module_in_a_new_folder_counts(self, project):
        it = project("import os\ndef handler(event, context):\n    from part.new import ANSWER\n    return ANSWER\n")
        for number in range(3):
            it.write("code/part/new.py", f"ANSWER = {number}\n")
            assert it.ask() == number

    def test_the_log_says_it_in_one_line_with_the_time(self, project):
        it = project(ANSWER.format("one"))
        assert it.ask() == "one"
        it.write("code/app.py", ANSWER.format("two"))
        line = it.until_logged("code/app.py")
        assert line.startswith("code/app.py: Echo is ready again after ")
        assert line.endswith(" ms")
        assert it.lines() == [line]

    def test_connections_stay_open_and_a_running_event_ends_on_the_old_code(self, project):
        it = project(REPLY % "old")
        with it.connect() as client:
            client.send("x")
            assert client.recv(HANGS) == "old"
            it.write("code/app.py", REPLY % "new")
            client.send("x")
            assert client.recv(HANGS) == "new"
            it.write("code/app.py", WAIT % "older")
            running: list[object] = []
            thread = threading.Thread(target=lambda: running.append(it.ask({"folder": str(it.folder)})))
            thread.start()
            it.until(lambda: list(it.folder.glob("*.began")))
            it.write("code/app.py", WAIT % "newer")
            assert it.ask() == "newer"
            (it.folder / "go").touch()
            thread.join(HANGS)
            assert running == ["older"]
            it.write("code/app.py", REPLY % "newest")
            client.send("x")
            assert client.recv(HANGS) == "newest"

    def test_with_a_syntax_error_the_old_code_stays_also_in_further_environments(self, project):
        it = project(WAIT % "old")
        assert it.ask() == "old"
        it.write("code/app.py", "def handler(event, context)\n    return 'broken'\n")
        line = it.until_logged("app.py, line 1")
        assert "The code before it goes on" in line
        answers: list[object] = []
        threads = [
            threading.Thread(target=lambda: answers.append(it.ask({"folder": str(it.folder)}))) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        it.until(lambda: len(list(it.folder.glob("*.began"))) == 2)  # one of them is a new environment
        (it.folder / "go").touch()
        for thread in threads:
            thread.join(HANGS)
        assert answers == ["old", "old"]
        assert it.lines() == [line]
        it.write("code/app.py", WAIT % "new")
        assert it.ask() == "new"

    def test_code_that_cannot_be_imported_is_told_and_the_next_good_save_helps(self, project):
        it = project(ANSWER.format("old"))
        assert it.ask() == "old"
        it.write("code/app.py", "import no_such_module\n")
        assert "No module named 'no_such_module'" in it.until_logged("Echo does not start")
        it.write("code/app.py", ANSWER.format("new"))
        assert it.ask() == "new"

    def test_no_reload_leaves_it_as_it_was(self, project):
        it = project(ANSWER.format("old"), PARLEY_RELOAD="0")
        assert it.ask() == "old"
        it.write("code/app.py", ANSWER.format("new"))
        assert it.ask() == "old"


class TestTheRest:
    def test_a_variable_in_env_reaches_the_functions(self, project):
        it = project("import os\ndef handler(event, context):\n    return os.environ['WORD']\n")
        assert it.ask() == "none"
        it.write(".env", "WORD=mine\n")
        it.until_logged(".env")
        assert it.ask() == "mine"

    def test_a_layer_counts(self, project, tmp_path):
        for name in ("one", "two"):
            (tmp_path / name / "python").mkdir(parents=True)
        (tmp_path / "one" / "python" / "fromlayer.py").write_text("ANSWER = 1\n")
        code = "import fromlayer\ndef handler(event, context):\n    return fromlayer.ANSWER\n"
        it = project(code, ", Layers: [!Ref One, !Ref Two]", LAYERS)
        assert it.ask() == 1
        it.write("one/python/fromlayer.py", "ANSWER = 2\n")
        it.until_logged("fromlayer.py")
        assert it.ask() == 2
        it.write("two/python/fromlayer.py", "ANSWER = 3\n")
        it.until_logged("two/python/fromlayer.py")
        assert it.ask() == 3

    def test_a_function_and_a_table_that_are_new_in_the_template_are_there(self, project):
        it = project(ANSWER.format("first"))
        it.write("second/app.py", ANSWER.format("second"))
        with it.connect() as client:
            it.template(resources=SECOND + TABLE % ("id", "id"))
            assert "+Second, +rows" in it.until_logged("template.yaml")
            assert it.ask(name="Second") == "second"
            assert it.ask() == "first"
            database = it.emulator.client("dynamodb")
            assert database.describe_table(TableName="rows")["Table"]["TableStatus"] == "ACTIVE"
            it.write("second/app.py", ANSWER.format("changed"))
            assert it.ask(name="Second") == "changed"
            client.ping().wait(HANGS)

    def test_a_schedule_is_the_one_of_the_template(self, project):
        it = project(ANSWER.format("as before"), SCHEDULE % "rate(1 hour)")
        it.template(SCHEDULE % "rate(2 hours)")
        it.until_logged("event sources")
        with urllib.request.urlopen(f"{it.emulator.url}/_parley/rules", timeout=HANGS) as answer:
            rules = json.load(answer)
        assert [each["schedule"] for each in rules] == ["rate(2 hours)"]
        assert rules[0]["next"] is not None

    def test_a_bucket_that_is_new_is_there(self, project):
        it = project(ANSWER.format("as before"))
        it.template(resources=BUCKET)
        assert "+uploads" in it.until_logged("template.yaml")
        s3 = it.emulator.client("s3")
        assert [each["Name"] for each in s3.list_buckets()["Buckets"]] == ["uploads"]

    def test_a_reset_for_a_test_is_about_the_template_as_it_is_now(self, project):
        it = project(ANSWER.format("as before"), PARLEY_TEST_API="1")
        it.template(resources=TABLE % ("id", "id") + BUCKET)
        it.until_logged("+rows")
        database, s3 = it.emulator.client("dynamodb"), it.emulator.client("s3")
        database.put_item(TableName="rows", Item={"id": {"S": "one"}})
        s3.put_object(Bucket="uploads", Key="one", Body=b"")
        urllib.request.urlopen(f"{it.emulator.url}/_parley/reset", b"{}", timeout=HANGS).close()
        assert database.scan(TableName="rows")["Count"] == 0
        assert "Contents" not in s3.list_objects_v2(Bucket="uploads")

    def test_an_api_that_is_gone_closes_its_connections_with_1001_and_no_others(self, project):
        it = project(REPLY % "here", resources=OTHER_API)
        with it.connect() as stays, it.connect("second") as goes:
            it.template()
            it.until_logged("-Other")
            with pytest.raises(ConnectionClosed):
                goes.recv(HANGS)
            assert goes.close_code == 1001
            stays.send("x")
            assert stays.recv(HANGS) == "here"

    def test_other_keys_of_a_table_are_refused_with_the_command_that_helps(self, project):
        it = project(ANSWER.format("as before"), resources=TABLE % ("id", "id"))
        it.template(", MemorySize: 256", resources=TABLE % ("other", "other"))
        line = it.until_logged("rows are others now")
        assert "`parley state reset`" in line
        assert it.ask() == "as before"
        schema = it.emulator.client("dynamodb").describe_table(TableName="rows")["Table"]["KeySchema"]
        assert [key["AttributeName"] for key in schema] == ["id"]

    def test_a_table_that_dynamodb_refuses_is_one_line_and_the_template_before_stays(self, project):
        it = project(ANSWER.format("as before"))
        it.template(", MemorySize: 256", resources=TABLE % ("id", "missing"))
        assert "The template before it goes on." in it.until_logged("refused to create")
        assert it.ask() == "as before"
        it.template(", MemorySize: 256", resources=TABLE % ("id", "id"))
        it.until_logged("(Echo, +rows)")

    def test_rubbish_in_the_template_is_one_line_and_the_template_before_stays(self, project):
        it = project(ANSWER.format("as before"))
        with it.connect() as client:
            for number, rubbish in enumerate(RUBBISH):
                it.write("template.yaml", rubbish)
                it.until(lambda told=2 * number: len(it.lines()) > told)
                assert it.ask() == "as before", rubbish
                client.ping().wait(HANGS)
                it.template(f", MemorySize: {256 + number}")
                it.until(lambda told=2 * number + 1: len(it.lines()) > told)
                assert ("(Echo)" in it.lines()[-1], len(it.lines())) == (True, 2 * number + 2), rubbish

    def test_a_template_that_is_removed_is_one_line_and_counts_when_it_is_back(self, project):
        it = project(ANSWER.format("as before"))
        aside = it.folder / "aside.yaml"
        with it.connect() as client:
            (it.folder / "template.yaml").rename(aside)
            assert "No such file" in it.until_logged("The template before it goes on")
            assert it.ask() == "as before"
            client.ping().wait(HANGS)
        it.template(", MemorySize: 256")
        it.until_logged("(Echo)")
        assert len(it.lines()) == 2

    def test_a_resource_without_a_type_is_a_note_and_the_rest_counts(self, project):
        it = project(ANSWER.format("as before"))
        it.template(", MemorySize: 256", "  Nameless: {Properties: {A: 1}}\n")
        it.until_logged("(Echo)")
        assert "`Nameless`: the resource has no Type; ignored" in it.until_logged("Nameless", "note")
        assert it.ask() == "as before"

    def test_code_that_a_build_removes_and_writes_again_counts_when_it_is_back(self, project):
        it = project(ANSWER.format("old"))
        assert it.ask() == "old"
        aside = it.folder / "aside"
        (it.folder / "code").rename(aside)
        it.write("code/app.py", ANSWER.format("new"))
        it.until(lambda: it.ask() == "new")
        it.write("code/app.py", ANSWER.format("newer"))
        assert it.ask() == "newer"
