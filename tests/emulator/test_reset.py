"""A reset: what a test has left behind is gone, and nothing of it has an effect any more."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.exceptions import InvalidStatus

from tests.support import noting_project
from tests.support.tried import messages, put, rows, send_event, tried
from tests.support.waiting import HANGS, until


@pytest.fixture(scope="module", params=["embedded", "moto"])
def running(tmp_path_factory, request):
    template = noting_project.make(tmp_path_factory.mktemp("project"))
    with tried(template, "--dynamodb", request.param, "--iam", "off") as parley:
        yield parley


@pytest.fixture
def parley(running):
    running.reset()
    return running


def test_all_tables_that_a_test_has_made_are_gone(parley):
    dynamodb = parley.client("dynamodb")
    key = {"AttributeName": "id", "KeyType": "HASH"}
    attributes = [{"AttributeName": "id", "AttributeType": "S"}]
    for number in range(105):  # a page of the list has 100
        dynamodb.create_table(
            TableName=f"more-{number}", KeySchema=[key], AttributeDefinitions=attributes, BillingMode="PAY_PER_REQUEST"
        )
    parley.reset()
    assert dynamodb.list_tables()["TableNames"] == ["rows"]


def test_tables_have_no_rows_and_are_as_the_template_says(parley):
    dynamodb = parley.client("dynamodb")
    dynamodb.put_item(TableName="rows", Item={"id": {"S": "left"}, "times": {"N": "1"}})
    dynamodb.update_time_to_live(
        TableName="rows", TimeToLiveSpecification={"AttributeName": "expiresAt", "Enabled": False}
    )
    key = {"AttributeName": "id", "KeyType": "HASH"}
    attributes = [{"AttributeName": "id", "AttributeType": "S"}]
    dynamodb.create_table(
        TableName="more", KeySchema=[key], AttributeDefinitions=attributes, BillingMode="PAY_PER_REQUEST"
    )
    parley.reset()
    assert (rows(parley), dynamodb.list_tables()["TableNames"]) == ({}, ["rows"])
    ttl = dynamodb.describe_time_to_live(TableName="rows")["TimeToLiveDescription"]
    assert ttl == {"AttributeName": "expiresAt", "TimeToLiveStatus": "ENABLED"}


def test_queues_parameters_and_secrets_are_as_the_template_says(parley):
    sqs, ssm, secrets = parley.client("sqs"), parley.client("ssm"), parley.client("secretsmanager")
    generated = secrets.get_secret_value(SecretId="key")["SecretString"]
    assert len(generated) == 40
    secrets.put_secret_value(SecretId="key", SecretString="changed")
    put(parley, "kept", "left")
    sqs.create_queue(QueueName="more")
    ssm.put_parameter(Name="/setting", Value="changed", Overwrite=True)
    parley.reset()
    assert messages(parley, "kept") == []
    assert sorted(url.rpartition("/")[2] for url in sqs.list_queues()["QueueUrls"]) == ["jobs", "kept"]
    assert ssm.get_parameter(Name="/setting")["Parameter"]["Value"] == "as deployed"
    assert secrets.get_secret_value(SecretId="key")["SecretString"] == generated


def test_queues_are_polled_again(parley):
    put(parley, "jobs", "a job")
    until(lambda: rows(parley).get("work") == 1)
    parley.reset()
    put(parley, "jobs", "another job")
    until(lambda: rows(parley) == {"work": 1})


def test_open_connections_are_closed_and_no_function_hears_of_it(parley):
    client = parley.connect()
    client.send("hello")
    client.receive(HANGS)
    assert parley._ask("POST", "/_parley/reset")["closed"] == 1
    assert client.closed(HANGS) == 1001
    assert (parley.connections(), rows(parley)) == ([], {})


def test_what_a_test_has_closed_itself_is_over_before(parley):
    for _ in range(5):
        client = parley.connect()
        client.send("hello")
        client.receive(HANGS)
        client.close()
        parley.reset()
        assert parley.events() == []
        assert rows(parley) == {}


def test_a_function_that_runs_is_ended(parley):
    client = parley.connect()
    client.send("hang")
    until(lambda: rows(parley).get("hangs"))
    answer = parley.reset()
    assert (answer["ended"], answer["running"]) == (["Gate"], 0)
    assert rows(parley) == {}


def test_functions_stay_warm_unless_they_shall_not(parley):
    def heard():
        with parley.connect() as client:
            client.send("hello")
            count = json.loads(client.receive(HANGS))["heard"]
        # A function that still runs at a reset may be ended.
        until(lambda: len(parley.events("end", function="Gate")) == 3)
        return count

    parley.reset(cold=True)
    assert heard() == 2  # the connect was the first event
    parley.reset()
    assert heard() > 2
    parley.reset(cold=True)
    assert heard() == 2


def test_a_thread_is_left_alone_and_counted(tmp_path):
    with tried(noting_project.make(tmp_path), "--functions", "inline") as parley:
        parley.connect().send("hang")
        until(lambda: rows(parley).get("hangs"))
        answer = parley.reset()
        assert (answer["ended"], answer["running"]) == ([], 1)
        assert rows(parley) == {}


def test_no_event_is_retried(parley):
    send_event(parley, "Failing")
    parley.wait_for("end", HANGS, function="Failing")
    parley.reset()
    parley.advance(3600)
    assert parley.events("start", function="Failing") == []
    assert rows(parley) == {}


def test_a_call_that_a_fault_delays_has_no_effect(parley):
    client = parley.connect()
    fault = parley.fault("store", "delay", ["UpdateItem", '"delayed"'], seconds=HANGS)
    fault.__enter__()
    client.send("late")
    until(lambda: fault.hits)
    parley.reset()
    assert rows(parley) == {}
    parley.invoke("Worker")
    assert rows(parley) == {"work": 1}


def test_an_event_that_a_fault_delays_does_not_come(parley):
    client = parley.connect()
    fault = parley.fault("message", "delay", "late", seconds=HANGS)
    fault.__enter__()
    client.send("late")
    until(lambda: fault.hits)
    parley.reset()
    assert parley.events("start", function="Gate") == []


def test_the_fault_plan_is_that_of_the_start(parley):
    parley.fault("connect", "delay", seconds=HANGS).__enter__()
    parley.reset()
    parley.connect().close()


def test_the_clock_is_the_machines_again(parley):
    parley.advance(86_400)
    parley.reset()
    client = parley.connect()
    client.send("hello")
    assert abs(json.loads(client.receive(HANGS))["at"] / 1000 - parley.now()) < 43_200
    assert parley._ask("GET", "/_parley/clock")["ahead"] == 0


def test_nothing_of_the_trace_is_left(parley):
    parley.connect().close()
    parley.wait_for("close", HANGS)
    parley.reset()
    assert parley.events() == []


def test_a_refused_handshake_leaves_nothing(parley):
    with pytest.raises(InvalidStatus):
        parley.connect("/no-such-stage")
    parley.reset()
    assert parley.events() == []


def test_resets_at_once_follow_each_other(parley):
    parley.client("dynamodb").put_item(TableName="rows", Item={"id": {"S": "left"}, "times": {"N": "1"}})
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: parley._ask("POST", "/_parley/reset"), range(8)))
    assert [each["running"] for each in answers] == [0] * 8
    assert rows(parley) == {}
