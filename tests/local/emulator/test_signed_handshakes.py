"""Signatures of handshakes, verified on each path of a stage."""

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from parley.emulator.options import Address

from tests.support.ready_emulator import ReadyEmulator

SIGNED_API = """
    Signed:
      Type: AWS::ApiGatewayV2::Api
      Properties: {Name: signed, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
    SignedStage: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Signed, StageName: secret}}
    SignedMock: {Type: AWS::ApiGatewayV2::Integration, Properties: {ApiId: !Ref Signed, IntegrationType: MOCK}}
    SignedConnect:
      Type: AWS::ApiGatewayV2::Route
      Properties:
        ApiId: !Ref Signed
        RouteKey: $connect
        AuthorizationType: AWS_IAM
        Target: !Sub "integrations/${SignedMock}"
"""
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.mark.parametrize("path", ["/secret", "/Signed/secret", "/Signed/secret/"])
@pytest.mark.parametrize(("secret", "status"), [("secret", None), ("another", 403)])
async def test_a_signature_is_of_the_path_that_the_client_asks_for(tmp_path, path, secret, status):
    emulator = ReadyEmulator(tmp_path, Address(), KEYS, SIGNED_API, verify_signatures=True)
    request = AWSRequest("GET", f"http://127.0.0.1:8000{path}", headers={"Host": "127.0.0.1:8000"})
    SigV4Auth(Credentials("AKIDEXAMPLE", secret), "execute-api", "us-east-1").add_auth(request)
    headers = [(name.encode(), value.encode()) for name, value in request.headers.items()]
    [answer, *_] = await emulator.ask("websocket", path, *headers)
    assert answer.get("status") == status
    assert (answer["type"] == "websocket.accept") is (status is None)
