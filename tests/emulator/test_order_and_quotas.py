"""Order, quotas and asynchronous invocations (docs/aws.md section 6)."""

import json
import uuid

import pytest
from parley.emulator.options import FunctionOptions
from parley.gateway.quotas import Quotas
from parley.template.model import LambdaIntegration, Route, Stage, Throttle
from websockets.exceptions import InvalidStatus

from tests.emulator.facts import GUIDE, LAMBDA, QUOTAS
from tests.support.gateway import GatewayStage

ACCOUNT = "an account's quotas are not for tests to exhaust"
ROUTES = [Route(key, LambdaIntegration(key)) for key in ("$connect", "$default")]


def gateway(**options):
    return GatewayStage(
        {key: lambda event: {"statusCode": 200} for key in ("$connect", "$default")}, *ROUTES, **options
    )


class TestOrder:
    @pytest.mark.fact(28, source="re:Post")
    def test_a_message_is_handled_while_the_one_before_it_still_is(self, connect):
        client = connect()
        client.send({"await": 2, "n": "first"})
        client.send({"n": "second"})
        frames = client.frame(), client.frame()
        assert {frame.get("n"): frame.get("together") for frame in frames} == {"first": 2, "second": None}, frames

    @pytest.mark.fact(28, source="serverlessland")
    def test_many_run_at_once(self, connect):
        client = connect()
        for number in range(6):
            client.send({"await": 6, "n": number})
        frames = [client.frame() for _ in range(6)]
        assert {frame["n"]: frame["together"] for frame in frames} == dict.fromkeys(range(6), 6)

    @pytest.mark.fact("order.posts", source="re:Post")
    def test_posts_that_are_awaited_arrive_in_their_order(self, connect):
        client = connect()
        client.send({"posts": 50, "quiet": 1})
        assert [client.frame()["n"] for _ in range(50)] == list(range(50))


class TestThrottling:
    @pytest.mark.fact(30, "quotas.stage", source="ServerlessNetworkingClients#3")
    def test_a_handshake_over_the_stages_rate_is_429(self, connect):
        statuses = []
        for _ in range(100):
            try:
                connect("throttled")
            except InvalidStatus as refused:
                statuses.append(refused.response.status_code)
                break
        assert statuses == [429]

    @pytest.mark.here("AWS's buckets are not exact")
    @pytest.mark.fact("quotas.stage", source=GUIDE)
    async def test_a_routes_own_setting_is_stronger_than_the_stages(self):
        stage = Stage("live", throttle=Throttle(1_000, 1_000), route_throttles={"$default": Throttle(1, 2)})
        throttled = gateway(stage=stage)
        client = await throttled.connect()
        for _ in range(3):
            await client.say("{}")
        assert len(throttled.events("$default")) == 2
        assert [json.loads(frame)["message"] for frame in client.frames] == ["Too Many Requests"]
        await throttled.clock.advance(1)
        await client.say("{}")
        assert (len(throttled.events("$default")), client.closed) == (3, None)

    @pytest.mark.here(ACCOUNT)
    @pytest.mark.fact(30, "quotas.account", source=GUIDE)
    async def test_an_account_has_one_bucket_for_handshakes_messages_and_posts(self):
        account = gateway(quotas=Quotas(requests=10, burst=3))
        client = await account.connect()
        connection_id = account.events("$connect")[0]["requestContext"]["connectionId"]
        await client.say("{}")
        assert (await account.post(connection_id)).status == 200
        refused = await account.post(connection_id)
        assert (refused.status, refused.headers["x-amzn-ErrorType"]) == (429, "LimitExceededException")
        assert (await account.connect()).status == 429
        await client.say("{}")
        assert len(account.events("$default")) == 1
        await account.clock.advance(0.11)
        assert (await account.post(connection_id)).status == 200

    @pytest.mark.here(ACCOUNT)
    @pytest.mark.fact("quotas.account", source=GUIDE)
    def test_the_bucket_has_5000_and_10000_more_a_second(self):
        assert (Quotas().burst, Quotas().requests) == (5_000, 10_000)

    @pytest.mark.here(ACCOUNT)
    @pytest.mark.fact("quotas.connections", source=QUOTAS)
    async def test_an_account_opens_500_connections_a_second(self):
        account = gateway()
        clients = [await account.connect() for _ in range(501)]
        assert [client.status for client in clients] == [None] * 500 + [429]
        await account.clock.advance(1)
        assert (await account.connect()).accepted

    @pytest.mark.here(ACCOUNT)
    @pytest.mark.fact("quotas.open", source=QUOTAS)
    async def test_any_number_of_connections_may_be_open(self):
        account = gateway()
        clients = []
        for _ in range(3):
            clients += [await account.connect() for _ in range(400)]
            await account.clock.advance(1)
        assert all(client.accepted and client.closed is None for client in clients)


class TestUrl:
    @pytest.mark.fact("quotas.url", source=QUOTAS)
    def test_a_longer_one_than_4096_characters_is_refused(self, connect):
        assert connect("main", {"x": "y" * 3_000}).is_open()
        with pytest.raises(InvalidStatus) as refused:
            connect("main", {"x": "y" * 4_096})
        assert 400 <= refused.value.response.status_code < 500

    @pytest.mark.here("what counts as the URL there is not known")
    @pytest.mark.fact("quotas.url", source=QUOTAS)
    async def test_4096_characters_are_path_and_query(self):
        longest = "q=" + "x" * (4_096 - len("/live?q="))
        assert (await gateway().connect(longest)).accepted
        assert (await gateway().connect(longest + "x")).status == 414


@pytest.mark.here("calls Lambda with a key of its own")
class TestAsynchronousInvocations:
    def event(self, connection_id, body):
        context = {"connectionId": connection_id, "eventType": "ASYNCHRONOUS", "routeKey": "$default"}
        return json.dumps({"requestContext": context, "body": json.dumps(body)}).encode()

    @pytest.mark.fact("async.accepted", source=LAMBDA)
    def test_it_is_accepted_and_run(self, short_lived, connect_short_lived):
        name = uuid.uuid4().hex
        payload = self.event(name, {"quiet": 1})
        lambda_ = short_lived.emulator.client("lambda")
        answer = lambda_.invoke(FunctionName="Message", InvocationType="Event", Payload=payload)
        assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")
        assert len(connect_short_lived().observed(name, "ASYNCHRONOUS")) == 1

    @pytest.mark.fact("async.retries", source=LAMBDA)
    def test_the_first_retry_is_after_a_minute(self):
        assert FunctionOptions().retry_delay == 60

    @pytest.mark.fact("async.retries", source=LAMBDA)
    def test_one_that_fails_is_run_three_times_in_all(self, short_lived, connect_short_lived):
        name = uuid.uuid4().hex
        payload = self.event(name, {"raise": 1})
        short_lived.emulator.client("lambda").invoke(FunctionName="Message", InvocationType="Event", Payload=payload)
        assert len(connect_short_lived().observed(name, "ASYNCHRONOUS", 3)) == 3
