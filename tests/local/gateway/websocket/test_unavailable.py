"""Routes, authorizers and functions that cannot run: nothing takes their place."""

from __future__ import annotations

import json

import pytest
from parley.template.model import Authorizer, LambdaIntegration, Route, UnavailableIntegration

from tests.support.gateway import GatewayStage

GONE = {
    "an integration that is not emulated": UnavailableIntegration("it is a carrier pigeon"),
    "a function that there is not": LambdaIntegration("gone"),
}
WHY = {"it is a carrier pigeon", "There is no function 'gone' with the qualifier $LATEST."}


def ok(event):
    return {"statusCode": 200}


FUNCTIONS = {"connect": ok, "default": ok}
DEFAULT = Route("$default", LambdaIntegration("default"))


@pytest.mark.parametrize("integration", GONE.values(), ids=GONE)
class TestRoutes:
    @pytest.mark.parametrize("responds", [False, True])
    async def test_their_messages_are_answered_with_an_error_and_not_by_the_default_route(self, integration, responds):
        gateway = GatewayStage(FUNCTIONS, DEFAULT, Route("send", integration, responds=responds))
        client = await gateway.connect()
        await client.say('{"action": "send"}')
        assert [json.loads(frame)["message"] for frame in client.frames] == ["Internal server error"]
        assert (gateway.invocations, client.closed) == ([], None)
        await client.say('{"action": "other"}')
        assert len(gateway.events("default")) == 1
        assert gateway.told("route")[0]["error"] in WHY

    async def test_a_connect_that_cannot_run_refuses_everybody(self, integration):
        client = await GatewayStage(FUNCTIONS, DEFAULT, Route("$connect", integration)).connect()
        assert (client.status, client.accepted) == (502, None)

    async def test_a_disconnect_that_cannot_run_is_told(self, integration):
        gateway = GatewayStage(FUNCTIONS, Route("$disconnect", integration))
        await (await gateway.connect()).leave()
        assert [event["error"] in WHY for event in gateway.told("route")] == [True]


@pytest.mark.parametrize("authorizer", [Authorizer("A", "", unavailable="it is elsewhere"), Authorizer("A", "gone")])
async def test_an_authorizer_that_cannot_be_asked_refuses_everybody(authorizer):
    route = Route("$connect", LambdaIntegration("connect"), authorizer=authorizer)
    gateway = GatewayStage(FUNCTIONS, route)
    client = await gateway.connect()
    assert (client.status, client.accepted, gateway.invocations) == (500, None, [])
