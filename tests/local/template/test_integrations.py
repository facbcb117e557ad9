"""Templates of integrations, and the requests that follow from them."""

from parley.gateway.integrations.http_client import EndpointRequest
from parley.gateway.integrations.non_lambda import IntegrationRequest
from parley.gateway.integrations.request import http_request
from parley.template.reader import read

TEMPLATE = """
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: chat, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
  Backend:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: HTTP_PROXY
      IntegrationMethod: POST
      IntegrationUri: https://${stageVariables.host}/chat
      RequestParameters:
        integration.request.header.connectionId: context.connectionId
        integration.request.querystring.kind: route.request.body.kind
  Default:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: $default, Target: !Sub "integrations/${Backend}"}
  Live:
    Type: AWS::ApiGatewayV2::Stage
    Properties: {ApiId: !Ref Api, StageName: live, AutoDeploy: true}
"""


def test_request_parameters_and_stage_variables_come_from_the_template(tmp_path):
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    template = read(tmp_path / "template.yaml")
    assert template.notes == ()
    integration = template.websocket_apis[0].routes["$default"].integration
    context = {"eventType": "MESSAGE", "connectionId": "C=", "apiId": "abcdef1234"}
    event = {"body": '{"kind": "a b"}', "requestContext": context}
    request = IntegrationRequest.of(event, {"host": "api.example.com"})
    assert http_request(integration, request.body, request.document()) == EndpointRequest(
        method="POST",
        url="https://api.example.com/chat?kind=a+b",
        headers={
            "User-Agent": "AmazonAPIGateway_abcdef1234",
            "x-amzn-apigateway-api-id": "abcdef1234",
            "Content-Type": "application/json",
            "connectionId": "C=",
        },
        body=b'{"kind": "a b"}',
        timeout=30.0,
    )
