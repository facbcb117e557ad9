"""Routes without a function, as their clients see them. test_integrations.py tests the requests."""

from __future__ import annotations

import json
import re

from parley.template.model import HttpIntegration, IntegrationResponse, MockIntegration, Route, Templates

from tests.support.clock import settle
from tests.support.gateway import GatewayStage


def templates(text, key="$default", selection=r"\$default"):
    return Templates({key: text}, selection)


def mock(status="200", *responses):
    """A MOCK integration whose request's template gives a status, with responses of (key, template)."""
    made = tuple(IntegrationResponse(key, templates(text)) for key, text in responses)
    return MockIntegration(templates(f'{{"statusCode": {status}}}'), made)


async def replies(integration, *said, stage=None, responds=True):
    """The frames that a client gets for what it says on a route with this integration."""
    gateway = GatewayStage({}, Route("$default", integration, responds=responds), stage=stage)
    client = await gateway.connect()
    for text in said:
        await client.say(text)
    for _ in range(200):
        if len(client.frames) >= len(said):
            break
        await settle()
    return client.frames


class TestMock:
    async def test_its_response_is_made_by_the_template_that_fits_the_status(self):
        integration = mock("204", ("/4../", "no"), ("/2../", '{"you": "$context.connectionId"}'), ("$default", "x"))
        [frame] = await replies(integration, "{}")
        assert re.fullmatch(r'\{"you": "[\w-]{15}="\}', frame)

    async def test_without_a_response_that_fits_there_is_the_default_one(self):
        assert await replies(mock("500", ("/4../", "no"), ("$default", "other")), "{}") == ["other"]

    async def test_without_a_route_response_nothing_is_sent(self):
        assert await replies(mock("200", ("$default", "x")), "{}", responds=False) == []

    async def test_a_template_that_gives_no_status_is_an_error(self):
        [frame] = await replies(MockIntegration(templates("nothing")), "{}")
        assert json.loads(frame)["message"] == "Internal server error"

    async def test_at_connect_its_status_decides(self):
        for status, refused in (("200", None), ("403", 403)):
            gateway = GatewayStage({}, Route("$connect", mock(status)))
            assert (await gateway.connect()).status == refused

    async def test_the_message_chooses_among_templates(self):
        chosen = Templates({"a": '{"statusCode": 200}', "b": '{"statusCode": 400}'}, "$request.body.kind")
        made = (IntegrationResponse("/2../", templates("two")), IntegrationResponse("/4../", templates("four")))
        frames = await replies(MockIntegration(chosen, made), '{"kind": "b"}', '{"kind": "a"}')
        assert frames == ["four", "two"]


class TestHttp:
    async def test_without_an_answer_it_is_an_error(self):
        [frame] = await replies(HttpIntegration("POST", "ftp://127.0.0.1/"), "{}")
        assert json.loads(frame)["message"] == "Internal server error"

    async def test_a_failure_is_told_with_its_reason(self):
        gateway = GatewayStage({}, Route("$connect", HttpIntegration("POST", "ftp://127.0.0.1/")))
        assert (await gateway.connect()).status == 502
        assert "http or https" in gateway.told("route")[0]["error"]
