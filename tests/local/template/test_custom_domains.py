"""Custom domain names of WebSocket APIs: each is with the stage that it leads to."""

from __future__ import annotations

import pytest
from parley.template.reader import read

FUNCTION = "F: {Type: AWS::Serverless::Function, Properties: {Runtime: python3.12, Handler: a.b, InlineCode: x}}"
RAW = """
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
  Live: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Api, StageName: live}}
  Beta: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Api, StageName: beta}}
  Domain: {Type: AWS::ApiGatewayV2::DomainName, Properties: {DomainName: ws.example.com}}
  One: {Type: AWS::ApiGatewayV2::ApiMapping, Properties: {ApiId: !Ref Api, Stage: !Ref Live, DomainName: !Ref Domain}}
  Two:
    Type: AWS::ApiGatewayV2::ApiMapping
    Properties: {ApiId: !Ref Api, Stage: beta, DomainName: ws.example.com, ApiMappingKey: next/beta}
  Of another API:
    Type: AWS::ApiGatewayV2::ApiMapping
    Properties: {ApiId: 0123456789, Stage: live, DomainName: ws.example.com, ApiMappingKey: other}
"""
SAM = """
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: live
      RouteSelectionExpression: $request.body.action
      Routes: {$default: {FunctionArn: !GetAtt F.Arn}}
      Domain: %s
"""
CERTIFICATE = "CertificateArn: 'arn:aws:acm:us-east-1:1:certificate/x', EndpointConfiguration: REGIONAL"


@pytest.mark.parametrize(
    ("api", "domains"),
    [
        (RAW, {"live": ("ws.example.com",), "beta": ("ws.example.com/next/beta",)}),
        (SAM % f"{{DomainName: ws.example.com, {CERTIFICATE}}}", {"live": ("ws.example.com",)}),
        (
            SAM % f"{{DomainName: ws.example.com, BasePath: [/a, b], {CERTIFICATE}, Route53: {{HostedZoneId: Z}}}}",
            {"live": ("ws.example.com/a", "ws.example.com/b")},
        ),
        (SAM % "{BasePath: [a]}", {"live": ()}),
        (SAM % "!Ref AWS::NoValue", {"live": ()}),
    ],
)
def test_a_stage_has_its_domain_names_and_nothing_is_said_to_be_ignored(tmp_path, api, domains):
    path = tmp_path / "template.yaml"
    path.write_text(f"Resources:\n  {FUNCTION}\n{api}")
    template = read(path)
    assert {stage.name: stage.domains for stage in template.websocket_apis[0].stages} == domains
    assert template.notes == ()
