"""The open connections as the console lists them, and the end that it gives to one."""

from parley.gateway.quotas import TimeLimits
from parley.template.model import Authorizer, LambdaIntegration, Route

from tests.support.gateway import GatewayStage
from tests.support.trace_schema import conforms


def stage():
    return GatewayStage({"default": lambda event: None}, Route("$default", LambdaIntegration("default")))


async def connection_of(gateway, client):
    await client.say("{}")
    return gateway.events("default")[-1]["requestContext"]["connectionId"]


async def test_a_connection_has_its_clocks():
    gateway = stage()
    client = await gateway.connect()
    limits = TimeLimits()
    await gateway.clock.advance(100)
    await client.say("{}")
    await gateway.clock.advance(60)
    [listed] = gateway.context.management_api.listed()
    conforms(listed, "connection")
    assert (listed["idleSecondsLeft"], listed["secondsLeft"]) == (limits.idle - 60, limits.connection - 160)
    assert (listed["user"], listed["subprotocol"]) == (None, None)


async def test_a_connection_is_closed_as_delete_does_it():
    gateway = stage()
    client = await gateway.connect()
    connection = await connection_of(gateway, client)
    assert await gateway.context.management_api.close(connection)
    assert client.closed == (1000, "Connection Closed Normally")
    assert not await gateway.context.management_api.close(connection)


async def test_there_is_nothing_to_close_of_an_id_that_nobody_has():
    assert not await stage().context.management_api.close("nobodyyyyyyyyy=")


async def test_the_user_is_the_principal_of_the_authorizer():
    statement = {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    authorizer = Authorizer("A", "authorize", identity_sources=())
    functions = {
        "connect": lambda event: {"statusCode": 200},
        "authorize": lambda event: {"principalId": "alice", "policyDocument": policy},
    }
    gateway = GatewayStage(functions, Route("$connect", LambdaIntegration("connect"), authorizer=authorizer))
    await gateway.connect()
    assert [each["user"] for each in gateway.context.management_api.listed()] == ["alice"]
