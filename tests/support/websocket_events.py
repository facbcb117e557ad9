"""Events of the WebSocket functions, as API Gateway sends them."""

from aws_lambda_powertools.utilities.parser.models import (
    APIGatewayWebSocketConnectEventModel,
    APIGatewayWebSocketDisconnectEventModel,
    APIGatewayWebSocketMessageEventModel,
)

CONNECTION_ID = "BFaT_fALIAMCKug="


def connect_event(**query):
    headers = {
        "Host": "abcdef1234.execute-api.us-east-1.amazonaws.com",
        "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
        "Sec-WebSocket-Key": "eOWEhg1WGGrTkHnRz1XTHw==",
        "Sec-WebSocket-Version": "13",
        "X-Amzn-Trace-Id": "Root=1-6731f25f-5a3e6b1c2d4f5a6b7c8d9e0f",
        "X-Forwarded-For": "203.0.113.7",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
    }
    event = {
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "requestContext": {
            "routeKey": "$connect",
            "eventType": "CONNECT",
            "extendedRequestId": "BFaT_HxHoAMFkrg=",
            "requestTime": "11/Nov/2024:11:35:24 +0000",
            "messageDirection": "IN",
            "stage": "live",
            "connectedAt": 1731324924553,
            "requestTimeEpoch": 1731324924561,
            "identity": {"sourceIp": "203.0.113.7"},
            "requestId": "BFaT_HxHoAMFkrg=",
            "domainName": "abcdef1234.execute-api.us-east-1.amazonaws.com",
            "connectionId": CONNECTION_ID,
            "apiId": "abcdef1234",
        },
        "isBase64Encoded": False,
    }
    if query:
        event["queryStringParameters"] = query
        event["multiValueQueryStringParameters"] = {name: [value] for name, value in query.items()}
    APIGatewayWebSocketConnectEventModel.model_validate(event)
    return event


def message_event(body):
    event = {
        "requestContext": {
            "routeKey": "$default",
            "messageId": "BFaUtcGLoAMCKug=",
            "eventType": "MESSAGE",
            "extendedRequestId": "BFaUtHRKIAMFgBA=",
            "requestTime": "11/Nov/2024:11:35:29 +0000",
            "messageDirection": "IN",
            "stage": "live",
            "connectedAt": 1731324924553,
            "requestTimeEpoch": 1731324929121,
            "identity": {"sourceIp": "203.0.113.7"},
            "requestId": "BFaUtHRKIAMFgBA=",
            "domainName": "abcdef1234.execute-api.us-east-1.amazonaws.com",
            "connectionId": CONNECTION_ID,
            "apiId": "abcdef1234",
        },
        "body": body,
        "isBase64Encoded": False,
    }
    APIGatewayWebSocketMessageEventModel.model_validate(event)
    return event


def disconnect_event():
    headers = {
        "Host": "abcdef1234.execute-api.us-east-1.amazonaws.com",
        "x-api-key": "",
        "X-Forwarded-For": "",
        "x-restapi": "",
    }
    event = {
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "requestContext": {
            "routeKey": "$disconnect",
            "disconnectStatusCode": 1005,
            "eventType": "DISCONNECT",
            "extendedRequestId": "BFaVSFs8IAMFgBA=",
            "requestTime": "11/Nov/2024:11:35:32 +0000",
            "messageDirection": "IN",
            "disconnectReason": "Client-side close frame status not set",
            "stage": "live",
            "connectedAt": 1731324924553,
            "requestTimeEpoch": 1731324932804,
            "identity": {"sourceIp": "203.0.113.7"},
            "requestId": "BFaVSFs8IAMFgBA=",
            "domainName": "abcdef1234.execute-api.us-east-1.amazonaws.com",
            "connectionId": CONNECTION_ID,
            "apiId": "abcdef1234",
        },
        "isBase64Encoded": False,
    }
    APIGatewayWebSocketDisconnectEventModel.model_validate(event)
    return event
