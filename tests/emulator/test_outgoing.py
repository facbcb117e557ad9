"""Routes without a function: MOCK, HTTP_PROXY and HTTP integrations."""

from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from local.gateway.mapping import MappingError, rendered
from local.template.model import HttpIntegration, IntegrationResponse, MockIntegration, Route, Stage, Templates
from tests.clock import settle
from tests.gateway import Gateway


def templates(text, key="$default", selection=r"\$default"):
    return Templates({key: text}, selection)


def mock(status="200", *responses):
    """A MOCK integration whose request's template gives a status, with responses of (key, template)."""
    made = tuple(IntegrationResponse(key, templates(text)) for key, text in responses)
    return MockIntegration(templates(f'{{"statusCode": {status}}}'), made)


async def replies(integration, *said, stage=None, responds=True):
    """The frames that a client gets for what it says on a route with this integration."""
    gateway = Gateway({}, Route("$default", integration, responds=responds), stage=stage)
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
            gateway = Gateway({}, Route("$connect", mock(status)))
            assert (await gateway.connect()).status == refused

    async def test_the_message_chooses_among_templates(self):
        chosen = Templates({"a": '{"statusCode": 200}', "b": '{"statusCode": 400}'}, "$request.body.kind")
        made = (IntegrationResponse("/2../", templates("two")), IntegrationResponse("/4../", templates("four")))
        frames = await replies(MockIntegration(chosen, made), '{"kind": "b"}', '{"kind": "a"}')
        assert frames == ["four", "two"]


@pytest.fixture
def server():
    """An HTTP server that tells what it got; `/fail` is a 418, `/away` a redirect."""
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append((self.path, self.rfile.read(int(self.headers.get("content-length", 0))).decode()))
            self.send_response({"/fail": 418, "/away": 302}.get(self.path, 200))
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(json.dumps({"got": got[-1][1]}).encode())

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", got
    server.shutdown()
    server.server_close()


async def call(integration, said, stage=None):
    """The answer of one call of an integration."""
    from local.gateway.outgoing import Message, Outgoing

    variables = stage.variables if stage else {}
    return await Outgoing().send(integration, Message(said, {"connectionId": "C="}, variables))


class TestHttp:
    async def test_a_proxy_sends_the_message_as_it_is_and_hands_the_answer_on(self, server):
        url, got = server
        stage = Stage("live", {"path": "inbox"})
        result = await call(HttpIntegration("POST", url + "/${stageVariables.path}"), "hello", stage)
        assert got == [("/inbox", "hello")]
        assert (result.status, result.body) == (200, '{"got": "hello"}')

    async def test_statuses_and_redirects_are_handed_on(self, server):
        url, got = server
        for path, status in (("/fail", 418), ("/away", 302)):
            assert (await call(HttpIntegration("POST", url + path), "x")).status == status
        assert [path for path, _ in got] == ["/fail", "/away"]

    async def test_without_proxy_templates_make_request_and_response(self, server):
        url, got = server
        response = IntegrationResponse("$default", templates("it got $input.path('$.got')"))
        integration = HttpIntegration(
            "POST", url, proxy=False, templates=templates('<$input.path("$.a")>'), responses=(response,)
        )
        result = await call(integration, '{"a": "x"}')
        assert got == [("", "<x>")] or got == [("/", "<x>")]
        assert result.body == "it got <x>"

    @pytest.mark.parametrize("url", ["http://127.0.0.1:9", "ftp://127.0.0.1/", "file:///etc/passwd", ""])
    async def test_where_nothing_answers_it_is_an_error(self, url):
        from local.gateway.outgoing import IntegrationError

        with pytest.raises(IntegrationError):
            await call(HttpIntegration("POST", url), "x")


class TestMapping:
    @pytest.mark.parametrize(
        ("template", "text"),
        [
            ("$input.body", '{"a": [1, "x"], "q": "it\'s"}'),
            ("$input.json('$.a')", '[1, "x"]'),
            ("$input.path('$.a[1]')", "x"),
            ("#set($x = $input.path('$.a'))#foreach($each in $x)<$each>#end", "<1><x>"),
            ("#if($context.stage == 'live')yes#{else}no#end", "yes"),
            ("$stageVariables.colour", "red"),
            ("$util.escapeJavaScript($input.path('$.q'))", "it\\'s"),
            ("$util.base64Encode('a') $util.base64Decode('YQ==')", "YQ== a"),
            ("$util.urlEncode('a b') $util.urlDecode('a+b')", "a+b a b"),
            ("$util.parseJson('[7]').get(0)", "7"),
        ],
    )
    def test_api_gateways_variables(self, template, text):
        body = '{"a": [1, "x"], "q": "it\'s"}'
        assert rendered(template, body, {"stage": "live"}, {"colour": "red"}) == text

    @pytest.mark.parametrize("template", ["#if($x)", "$util.parseJson('no')", "$input.path('$.[')"])
    def test_what_cannot_be_carried_out_is_told(self, template):
        with pytest.raises(MappingError):
            rendered(template, "{}", {}, {})
