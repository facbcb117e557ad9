"""Routes and authorizers that cannot run here: they keep their place, so that nothing else takes it."""

from __future__ import annotations

from textwrap import dedent, indent

import pytest
from parley.template.model import LATEST, LambdaIntegration, UnavailableIntegration
from parley.template.reader import read

NODE = "Java: {Type: AWS::Serverless::Function, Properties: {Runtime: java21, Handler: a.b, CodeUri: code}}"
ECHO = "Echo: {Type: AWS::Serverless::Function, Properties: {Runtime: python3.12, Handler: a.b, CodeUri: code}}"


@pytest.fixture
def template(tmp_path):
    """Read a template with a function that runs, one that does not, and these resources."""
    (tmp_path / "code").mkdir()

    def write(*resources):
        path = tmp_path / "template.yaml"
        path.write_text(indent("\n".join([ECHO, NODE, *map(dedent, resources)]), "  ").join(["Resources:\n", "\n"]))
        return read(path)

    return write


def consequences(template):
    """Return what follows from each note, without its place and its subject."""
    return [note.rpartition("; ")[2] for note in template.notes if "the runtime java21" not in note]


def sam_api(routes, auth="{AuthType: NONE}"):
    return f"""
        Api:
          Type: AWS::Serverless::WebSocketApi
          Properties:
            RouteSelectionExpression: $request.body.action
            Auth: {auth}
            Routes: {routes}
    """


def raw_api(key, integration, route=""):
    return f"""
        Api:
          Type: AWS::ApiGatewayV2::Api
          Properties: {{ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}}
        Stage: {{Type: AWS::ApiGatewayV2::Stage, Properties: {{ApiId: !Ref Api, StageName: s}}}}
        Integration: {{Type: AWS::ApiGatewayV2::Integration, Properties: {{ApiId: !Ref Api, {integration}}}}}
        Route:
          Type: AWS::ApiGatewayV2::Route
          Properties: {{ApiId: !Ref Api, RouteKey: {key}, Target: !Sub "integrations/${{Integration}}", {route}}}
    """


WHAT_FOLLOWS = {
    "$connect": "every handshake is refused.",
    "$disconnect": "nothing runs when a connection ends.",
    "$default": "its messages are answered with `Internal server error`.",
    "send": "its messages are answered with `Internal server error`.",
}
INTEGRATIONS = {
    "a function that is not emulated": "IntegrationType: AWS_PROXY, IntegrationUri: !GetAtt Java.Arn",
    "a function elsewhere": "IntegrationType: AWS_PROXY, IntegrationUri: 'arn:aws:lambda:eu-west-1:1:function:x'",
    "an unknown type": "IntegrationType: CARRIER_PIGEON, IntegrationUri: x",
    "no type": "IntegrationUri: !GetAtt Echo.Arn",
}


class TestRoutes:
    @pytest.mark.parametrize("key", WHAT_FOLLOWS)
    def test_of_sam_keep_their_key(self, template, key):
        found = template(sam_api(f"{{{key}: {{FunctionArn: !GetAtt Java.Arn}}}}"))
        assert isinstance(found.websocket_apis[0].routes[key].integration, UnavailableIntegration)
        assert consequences(found) == [WHAT_FOLLOWS[key]]

    @pytest.mark.parametrize("key", WHAT_FOLLOWS)
    @pytest.mark.parametrize("integration", INTEGRATIONS.values(), ids=INTEGRATIONS)
    def test_of_cloudformation_keep_their_key(self, template, key, integration):
        found = template(raw_api(key, integration))
        assert isinstance(found.websocket_apis[0].routes[key].integration, UnavailableIntegration)
        assert WHAT_FOLLOWS[key] in consequences(found)

    def test_without_a_target_too(self, template):
        text = raw_api("send", INTEGRATIONS["no type"]).replace("Target", "Nothing")
        assert isinstance(template(text).websocket_apis[0].routes["send"].integration, UnavailableIntegration)

    def test_one_that_has_no_key_is_ignored_and_said(self, template):
        found = template(raw_api("''", "IntegrationType: AWS_PROXY, IntegrationUri: !GetAtt Echo.Arn"))
        assert (found.websocket_apis[0].routes, consequences(found)) == ({}, ["ignored."])


class TestAuthorization:
    @pytest.mark.parametrize(
        "auth",
        [
            "{AuthType: CUSTOM, AuthArn: !GetAtt Java.Arn}",
            "{AuthType: CUSTOM, AuthArn: !ImportValue elsewhere}",
            "{AuthType: CUSTOM}",
            "{AuthType: custom, AuthArn: !GetAtt Echo.Arn}",
            "{AuthArn: !GetAtt Echo.Arn}",
            "{AuthType: JWT}",
        ],
    )
    def test_of_sam_that_cannot_be_asked_refuses_everybody(self, template, auth):
        found = template(sam_api("{$connect: {FunctionArn: !GetAtt Echo.Arn}}", auth))
        assert found.websocket_apis[0].routes["$connect"].authorizer.unavailable
        assert consequences(found)[-1] == "every handshake is refused."

    def test_of_sam_needs_a_connect_route(self, template):
        found = template(sam_api("{send: {FunctionArn: !GetAtt Echo.Arn}}", "{AuthType: AWS_IAM}"))
        assert isinstance(found.websocket_apis[0].routes["$connect"].integration, UnavailableIntegration)
        assert consequences(found) == ["every handshake is refused."]

    @pytest.mark.parametrize("kind", ["CUSTOM", "JWT, AuthorizerId: none", "CUSTOM, AuthorizerId: !Ref Integration"])
    def test_of_cloudformation_that_cannot_be_asked_refuses_everybody(self, template, kind):
        echo = "IntegrationType: AWS_PROXY, IntegrationUri: !GetAtt Echo.Arn"
        found = template(raw_api("$connect", echo, f"AuthorizationType: {kind}"))
        assert found.websocket_apis[0].routes["$connect"].authorizer.unavailable
        assert consequences(found) == ["every handshake is refused."]

    def test_stays_with_a_route_that_cannot_run(self, template):
        auth = "{AuthType: CUSTOM, AuthArn: !GetAtt Echo.Arn}"
        found = template(sam_api("{$connect: {FunctionArn: !GetAtt Java.Arn}}", auth))
        assert found.websocket_apis[0].routes["$connect"].authorizer.function == "Echo"

    @pytest.mark.parametrize("auth", ["{AuthType: NONE}", "!Ref AWS::NoValue", "{}"])
    def test_none_lets_everybody_in(self, template, auth):
        found = template(sam_api("{$connect: {FunctionArn: !GetAtt Echo.Arn}}", auth))
        route = found.websocket_apis[0].routes["$connect"]
        assert (route.authorizer, route.iam, route.integration) == (None, False, LambdaIntegration("Echo", LATEST))


class TestHttpApis:
    def test_events_of_a_function_that_is_not_emulated_keep_their_route(self, template):
        events = "Events: {E: {Type: HttpApi, Properties: {Method: get, Path: /x}}}"
        function = (
            f"More: {{Type: AWS::Serverless::Function, Properties: {{Runtime: ruby3.4, Handler: a.b, {events}}}}}"
        )
        [route] = template(function, sam_api("{}")).http_apis[0].routes
        assert (route.method, route.path, route.unavailable) == ("GET", "/x", "More is not emulated")

    @pytest.mark.parametrize("integration", INTEGRATIONS.values(), ids=INTEGRATIONS)
    def test_a_route_that_leads_nowhere_keeps_its_key(self, template, integration):
        text = raw_api("GET /x", integration).replace("WEBSOCKET", "HTTP")
        found = template(text, sam_api("{}").replace("Api:", "Socket:", 1))
        [route] = found.http_apis[0].routes
        assert (route.method, route.path) == ("GET", "/x")
        assert route.unavailable == "the route `GET /x` leads to no emulated function"
        assert "its requests are answered with 500." in consequences(found)
