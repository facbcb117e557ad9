"""Handshakes: authorization and limits (docs/aws.md sections 1, 2, 6), in this process and without time passing."""

from __future__ import annotations

import asyncio
import json

import pytest
from parley.gateway.quotas import Quotas
from parley.template.model import Authorizer, LambdaIntegration, Route, Stage, Throttle

from tests.support.gateway import CALLER, MALFORMED, GatewayStage, Raised

CONNECT = Route("$connect", LambdaIntegration("connect"))
DEFAULT = Route("$default", LambdaIntegration("default"))
DISCONNECT = Route("$disconnect", LambdaIntegration("disconnect"))
SOURCES = ("route.request.querystring.token", "route.request.header.X-Colour")
ARN = "arn:aws:execute-api:us-east-1:000000000000:abcdef1234/live/$connect"


def ok(event):
    return {"statusCode": 200}


def guarded(authorizer, *sources, **more):
    """A stage whose `$connect` has this authorizer."""
    route = Route(
        "$connect", LambdaIntegration("connect"), authorizer=Authorizer("A", "authorize", identity_sources=sources)
    )
    functions = {"connect": ok, "authorize": authorizer, "default": ok, "disconnect": ok}
    return GatewayStage(functions, route, DEFAULT, DISCONNECT, **more)


def statement(effect="Allow", resource=ARN, action="execute-api:Invoke", **more):
    """A statement. One with `NotAction` or `NotResource` has no `Action` or `Resource`."""
    given = {"Action": action, "Effect": effect, "Resource": resource, **more}
    return {name: value for name, value in given.items() if f"Not{name}" not in more}


def policy(effect="Allow", resource=ARN, action="execute-api:Invoke", **more):
    document = {"Version": "2012-10-17", "Statement": [statement(effect, resource, action)]}
    return {"principalId": "alice", "policyDocument": document, **more}


def where(operator, **values):
    return {"Condition": {operator: {f"aws:{key}": value for key, value in values.items()}}}


APPLYING = [
    {},
    where("IpAddress", SourceIp=["203.0.113.0/24", "127.0.0.0/8"]),
    where("NotIpAddress", SourceIp="203.0.113.0/24"),
    where("StringLike", UserAgent="curl/*"),
    where("StringEqualsIfExists", Referer="https://a.example"),
    where("Bool", SecureTransport="true"),
    where("DateGreaterThan", CurrentTime="2020-01-01T00:00:00Z"),
    where("StringNotEquals", PrincipalArn="arn:aws:iam::1:role/x"),
    where("Null", SourceVpce="true"),
    {"NotAction": "execute-api:ManageConnections"},
    {"NotResource": ARN.replace("live", "test")},
]
OTHERS = [
    where("IpAddress", SourceIp="203.0.113.0/24"),
    where("NotIpAddress", SourceIp="127.0.0.1"),
    where("StringEquals", UserAgent="curl/*"),
    where("StringEquals", PrincipalTag="x"),
    where("StringEquals", SourceVpce="vpce-1"),
    where("DateLessThan", CurrentTime="2020-01-01T00:00:00Z"),
    {**where("IpAddress", SourceIp="127.0.0.1"), "NotResource": ARN},
    {"NotAction": ["s3:*", "execute-api:*"]},
    {"NotResource": "arn:aws:execute-api:*"},
]


class TestAuthorizers:
    async def test_each_identity_source_must_be_there_or_it_is_401_and_nobody_is_asked(self):
        gateway = guarded(lambda event: policy(), *SOURCES)
        assert (await gateway.connect("token=t")).status == 401
        assert (await gateway.connect("", {"X-Colour": "red"})).status == 401
        assert (await gateway.connect("token=", {"X-Colour": "red"})).status == 401
        assert gateway.invocations == []
        assert (await gateway.connect("token=t", {"x-colour": "red"})).accepted

    @pytest.mark.parametrize(
        ("source", "is_there"),
        [
            ("route.request.querystring.a.b", True),
            ("route.request.querystring.b", False),
            ("${route.request.header.X-COLOUR}", True),
            ("$route.request.header.X-Other", False),
            ("context.identity.sourceIp", True),
            ("context.stage", True),
            ("context.identity.apiKey", False),
            ("context.identity.sourceIp.deeper", False),
            ("stageVariables.none", False),
            ("nonsense", False),
        ],
    )
    async def test_a_source_is_looked_up_by_its_whole_name(self, source, is_there):
        client = await guarded(lambda event: policy(), source).connect("a.b=1", {"X-Colour": "red"})
        assert client.status == (None if is_there else 401)

    @pytest.mark.parametrize("header", ["X-Forwarded-For", "x-forwarded-port", "X-Amzn-Trace-Id"])
    async def test_headers_that_the_gateway_adds_are_there_or_by_the_switch_missing(self, header):
        for assumed, status in (("present", None), ("missing", 401)):
            gateway = guarded(lambda event: policy(), f"route.request.header.{header}", added_headers=assumed)
            assert (await gateway.connect()).status == status

    async def test_stage_variables_and_the_context_are_identity_sources_too(self):
        gateway = guarded(lambda event: policy(), "stageVariables.key", "context.identity.sourceIp")
        assert (await gateway.connect()).status == 401
        gateway = guarded(lambda event: policy(), "stageVariables.key", stage=Stage("live", {"key": "v"}))
        assert (await gateway.connect()).accepted

    @pytest.mark.parametrize(
        ("answer", "status"),
        [
            (policy(), None),
            (policy(resource="*"), None),
            (policy(resource="arn:aws:execute-api:*:*:abcdef1234/*"), None),
            (policy(resource=["arn:aws:execute-api:*:*:zzz/*", ARN], action=["x:y", "execute-api:*"]), None),
            (policy("Deny"), 403),
            (policy(resource="arn:aws:execute-api:*:*:other/*"), 403),
            (policy(action="s3:GetObject"), 403),
            ({**policy(), "principalId": 7}, 500),
            ({"policyDocument": policy()["policyDocument"]}, None),
            ({"principalId": None, "policyDocument": policy()["policyDocument"]}, None),
            ({"principalId": "alice"}, 500),
            (policy(context={"claims": {"a": 1}}), 500),
            (policy(context={"long": "x" * 9000}), 500),
            (None, 500),
            ("Allow", 500),
            ({"isAuthorized": True}, 500),
            ([], 500),
            (7, 500),
            (policy(context=["x"]), 500),
            (policy("Maybe"), 500),
            (policy(resource=None), 500),
        ],
    )
    async def test_what_it_returns_decides(self, answer, status):
        client = await guarded(lambda event: answer).connect()
        assert client.status == status
        assert bool(client.accepted) == (status is None)

    @pytest.mark.parametrize(("more", "applies"), [(each, each in APPLYING) for each in APPLYING + OTHERS])
    async def test_conditions_and_negations_of_its_policy_count(self, more, applies):
        headers = {"User-Agent": "curl/8", "Referer": "https://a.example"}
        allowing, denying = policy(), policy()
        allowing["policyDocument"]["Statement"] = statement("Allow", **more)
        denying["policyDocument"]["Statement"].append(statement("Deny", **more))
        assert (await guarded(lambda event: allowing).connect("", headers)).status == (None if applies else 403)
        assert (await guarded(lambda event: denying).connect("", headers)).status == (403 if applies else None)

    @pytest.mark.parametrize("answer", [policy(), policy("Deny")])
    async def test_without_a_principal_its_policy_counts_or_by_the_switch_it_is_500(self, answer):
        answer = {"policyDocument": answer["policyDocument"]}
        refused = guarded(lambda event: answer, principal_missing="refused")
        assert (await refused.connect()).status == 500
        assert "--assume principal_missing=refused" in refused.told("refuse")[0]["why"]
        gateway = guarded(lambda event: answer)
        client = await gateway.connect()
        assert client.status == (403 if answer["policyDocument"]["Statement"][0]["Effect"] == "Deny" else None)
        if client.accepted:
            assert set(gateway.events("connect")[0]["requestContext"]["authorizer"]) == {"integrationLatency"}

    async def test_the_returned_text_unauthorized_is_500_or_by_the_switch_401(self):
        refused = guarded(lambda event: "Unauthorized")
        assert (await refused.connect()).status == 500
        assert "--assume unauthorized_text=unauthorized" in refused.told("refuse")[0]["why"]
        gateway = guarded(lambda event: "Unauthorized", unauthorized_text="unauthorized")
        assert (await gateway.connect()).status == 401
        other = guarded(lambda event: "unauthorized", unauthorized_text="unauthorized")
        assert (await other.connect()).status == 500

    async def test_deny_wins_over_allow(self):
        both = policy()
        both["policyDocument"]["Statement"].append({"Action": "*", "Effect": "Deny", "Resource": "*"})
        assert (await guarded(lambda event: both).connect()).status == 403

    @pytest.mark.parametrize(("text", "status"), [("Unauthorized", 401), ("unauthorized", 500), ("oops", 500)])
    async def test_what_it_raises_decides(self, text, status):
        def authorize(event):
            raise Raised(text)

        gateway = guarded(authorize)
        assert (await gateway.connect()).status == status
        assert gateway.events("connect") == []

    async def test_its_event_has_every_map_and_the_hop_headers(self):
        gateway = guarded(lambda event: policy(), stage=Stage("live", {"v": "1"}))
        await gateway.connect("token=t&token=u", {"X-Colour": "red"})
        [event] = gateway.events("authorize")
        assert set(event) == {
            *("type", "methodArn", "headers", "multiValueHeaders", "queryStringParameters"),
            *("multiValueQueryStringParameters", "stageVariables", "requestContext"),
        }
        assert (event["type"], event["methodArn"]) == ("REQUEST", ARN)
        hop = {"Connection": "upgrade", "content-length": "0", "Upgrade": "websocket"}
        assert hop.items() <= event["headers"].items()
        assert event["multiValueQueryStringParameters"] == {"token": ["t", "u"]}
        assert event["stageVariables"] == {"v": "1"}
        assert event["requestContext"]["connectionId"] == gateway.events("connect")[0]["requestContext"]["connectionId"]

    async def test_its_context_is_text_in_all_three_events(self):
        gateway = guarded(lambda event: policy(context={"n": 1, "b": True, "s": "x"}))
        client = await gateway.connect()
        await client.say("{}")
        await client.leave()
        seen = [
            gateway.events(name)[0]["requestContext"]["authorizer"] for name in ("connect", "default", "disconnect")
        ]
        expected = {"principalId": "alice", "integrationLatency": "1", "n": "1", "b": "true", "s": "x"}
        assert seen == [expected] * 3
        assert len(gateway.events("authorize")) == 1

    async def test_without_one_no_event_has_its_field(self):
        gateway = GatewayStage({"connect": ok}, CONNECT)
        await gateway.connect()
        assert "authorizer" not in gateway.events("connect")[0]["requestContext"]


class TestIam:
    @pytest.mark.parametrize(("signed", "status"), [(False, 403), (True, None)])
    async def test_an_unsigned_handshake_is_forbidden(self, signed, status):
        gateway = GatewayStage(
            {"connect": ok}, Route("$connect", LambdaIntegration("connect"), iam=True), signed=signed
        )
        assert (await gateway.connect()).status == status

    async def test_all_three_events_have_the_caller_and_the_management_api_has_not(self):
        routes = [Route(f"${name}", LambdaIntegration(name)) for name in ("default", "disconnect")]
        functions = {"connect": ok, "default": ok, "disconnect": ok}
        signed = Route("$connect", LambdaIntegration("connect"), iam=True)
        gateway = GatewayStage(functions, signed, *routes, signed=True)
        client = await gateway.connect("", {"User-Agent": "curl/8"})
        await client.say("{}")
        connection_id = gateway.events("default")[0]["requestContext"]["connectionId"]
        described = await gateway.post(connection_id, method="GET")
        assert json.loads(described.body)["identity"] == {"sourceIp": "127.0.0.1", "userAgent": "curl/8"}
        await client.leave()
        seen = [gateway.events(name)[0]["requestContext"]["identity"] for name in functions]
        assert seen == [{"sourceIp": "127.0.0.1", "userAgent": "curl/8", **CALLER}] * 3

    async def test_a_signature_that_nobody_asked_for_is_not_in_the_events(self):
        gateway = GatewayStage({"connect": ok}, CONNECT, signed=True)
        await gateway.connect()
        assert gateway.events("connect")[0]["requestContext"]["identity"] == {"sourceIp": "127.0.0.1"}


class TestConnect:
    async def test_without_the_route_every_handshake_opens(self):
        assert (await GatewayStage({"default": ok}, DEFAULT).connect()).accepted

    async def test_the_handshake_waits_for_it_up_to_29_seconds(self):
        async def forever(event):
            await asyncio.Event().wait()

        gateway = GatewayStage({"connect": forever}, CONNECT)
        client = await gateway.connect()
        await gateway.clock.advance(28.9)
        assert (client.accepted, client.status) == (None, None)
        await gateway.clock.advance(0.2)
        assert client.status == 504

    @pytest.mark.parametrize("answer", [None, "garbage", 7, [200]])
    async def test_what_is_no_object_is_502_or_by_the_switch_that_it_names_open(self, answer):
        gateway = GatewayStage({"connect": lambda event: answer}, CONNECT)
        assert (await gateway.connect()).status == 502
        assert "--assume connect_null=open" in gateway.told("refuse")[0]["why"]
        assert (await GatewayStage({"connect": lambda event: answer}, CONNECT, connect_null="open").connect()).accepted

    @pytest.mark.parametrize("answer", [{}, {"body": "x"}, {"headers": None}, {"statusCode": None}])
    async def test_an_object_without_a_status_opens_it_or_by_the_switch_is_as_null(self, answer):
        for assumed, status in (({}, None), ({"missing_status": "none"}, 502)):
            gateway = GatewayStage({"connect": lambda event: answer}, CONNECT, **assumed)
            assert (await gateway.connect()).status == status
        both = GatewayStage({"connect": lambda event: answer}, CONNECT, missing_status="none", connect_null="open")
        assert (await both.connect()).accepted

    @pytest.mark.parametrize("answer", MALFORMED)
    @pytest.mark.parametrize("assumed", ["refused", "open"])
    async def test_an_object_that_is_no_answer_is_502(self, answer, assumed):
        gateway = GatewayStage({"connect": lambda event: answer}, CONNECT, connect_null=assumed)
        assert (await gateway.connect()).status == 502
        assert gateway.told("refuse")[0]["why"].startswith("$connect failed: its ")

    async def test_the_answers_headers_are_dropped_or_by_the_switch_passed(self):
        def connect(event):
            return {"statusCode": 200, "headers": {"X-Colour": "red", "Sec-WebSocket-Protocol": "a"}}

        for assumed, headers in (("dropped", []), ("passed", [(b"x-colour", b"red")])):
            client = await GatewayStage({"connect": connect}, CONNECT, response_headers=assumed).connect()
            assert (client.accepted["headers"], client.accepted["subprotocol"]) == (headers, "a")

    async def test_a_refusals_body_is_empty_or_by_the_switch_a_message(self):
        for assumed, body in (("empty", b""), ("message", b'{"message": "Unauthorized"}')):
            gateway = GatewayStage({"connect": lambda event: {"statusCode": 401}}, CONNECT, refusal_body=assumed)
            assert (await gateway.connect()).refusal["body"] == body


class TestLimits:
    async def test_a_url_has_4096_characters_at_most(self):
        gateway = GatewayStage({"connect": ok}, CONNECT)
        longest = "q=" + "x" * (4096 - len("/live?q="))
        assert (await gateway.connect(longest)).accepted
        assert (await gateway.connect(longest + "x")).status == 414

    async def test_an_account_opens_500_connections_a_second(self):
        gateway = GatewayStage({"connect": ok}, CONNECT)
        clients = [await gateway.connect() for _ in range(501)]
        assert [client.status for client in clients] == [None] * 500 + [429]
        await gateway.clock.advance(1)
        assert (await gateway.connect()).accepted

    async def test_the_accounts_rate_counts_handshakes_messages_and_posts_together(self):
        gateway = GatewayStage({"connect": ok, "default": ok}, CONNECT, DEFAULT, quotas=Quotas(requests=10, burst=3))
        client = await gateway.connect()
        connection_id = gateway.events("connect")[0]["requestContext"]["connectionId"]
        await client.say("{}")
        assert (await gateway.post(connection_id)).status == 200
        refused = await gateway.post(connection_id)
        assert (refused.status, refused.headers["x-amzn-ErrorType"]) == (429, "LimitExceededException")
        await client.say("{}")
        assert len(gateway.events("default")) == 1
        assert (await gateway.connect()).status == 429
        await gateway.clock.advance(0.11)
        assert (await gateway.post(connection_id)).status == 200

    @pytest.mark.parametrize(("assumed", "frames"), [("frame", 1), ("silent", 0)])
    async def test_a_message_over_its_routes_rate_is_not_handled_and_the_connection_stays(self, assumed, frames):
        stage = Stage("live", throttle=Throttle(1000, 1000), route_throttles={"$default": Throttle(1, 2)})
        gateway = GatewayStage({"default": ok}, DEFAULT, stage=stage, throttled_message=assumed)
        client = await gateway.connect()
        for _ in range(3):
            await client.say("{}")
        assert len(gateway.events("default")) == 2
        assert [json.loads(frame)["message"] for frame in client.frames] == ["Too Many Requests"] * frames
        await gateway.clock.advance(1)
        await client.say("{}")
        assert len(gateway.events("default")) == 3
        assert client.closed is None

    async def test_a_handshake_over_the_stages_rate_is_429(self):
        gateway = GatewayStage({"connect": ok}, CONNECT, stage=Stage("live", throttle=Throttle(1, 1)))
        assert [(await gateway.connect()).status for _ in range(2)] == [None, 429]

    async def test_every_refusal_names_its_limit_and_the_document(self):
        gateway = GatewayStage({"connect": ok}, CONNECT, quotas=Quotas(connections=1))
        await gateway.connect("q=" + "x" * 5000)
        await gateway.connect()
        await gateway.connect()
        told = gateway.told("limit")
        assert [each["what"] for each in told] == ["handshake answered with 414", "handshake answered with 429"]
        assert all(each["limit"] and each["document"].startswith("https://docs.aws.amazon.com/") for each in told)


class TestPostsFromConnect:
    @pytest.mark.parametrize(("assumed", "status"), [("gone", 410), ("hangs", 200)])
    async def test_they_are_gone_or_by_the_switch_wait_for_the_handshake(self, assumed, status):
        answers = []

        def connect(event):
            posting = asyncio.ensure_future(gateway.post(event["requestContext"]["connectionId"]))
            posting.add_done_callback(lambda done: answers.append(done.result().status))
            return {"statusCode": 200}

        gateway = GatewayStage({"connect": connect}, CONNECT, post_in_connect=assumed)
        await gateway.connect()
        await gateway.clock.advance(0.1)
        assert answers == [status]
