"""Events that REST APIs send to functions: the input format of the developer guide's page on Lambda proxy integrations.

The event's path has no stage, the path in its `requestContext` has it. Names of headers are in title case, as clients
of HTTP/1.1 write them: the server here has them in lower case only.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence

from parley.account import ACCOUNT_ID
from parley.gateway.events import Event, all_values, last_values, new_request_id
from parley.gateway.http.event import HttpRequest

_NO_IDENTITY = (
    *("accessKey", "accountId", "caller", "cognitoAuthenticationProvider", "cognitoAuthenticationType"),
    *("cognitoIdentityId", "cognitoIdentityPoolId", "principalOrgId", "user", "userArn"),
)


def rest_event(request: HttpRequest) -> Event:
    """Return the event of a REST API."""
    pairs = [("-".join(map(str.capitalize, name.split("-"))), value) for name, value in request.headers()]
    query, stage = request.query(), f"/{request.api.stage}"
    body, is_encoded = _content(request)
    route = request.match.route
    return {
        "resource": route.path,
        "path": request.path.removeprefix(stage) or "/",
        "httpMethod": request.scope["method"],
        "headers": last_values(pairs),
        "multiValueHeaders": all_values(pairs),
        "queryStringParameters": last_values(query) or None,
        "multiValueQueryStringParameters": all_values(query) or None,
        "pathParameters": dict(request.match.parameters) or None,
        "stageVariables": dict(request.api.variables) or None,
        "requestContext": _context(request, last_values(pairs)),
        "body": body,
        "isBase64Encoded": is_encoded,
    }


def is_binary(kind: str, binary_types: Sequence[str]) -> bool:
    """Tell if a media type is one of an API's binary types: the type itself, `type/*` or `*/*`."""
    plain = kind.split(";")[0].split(",")[0].strip().lower()
    patterns = {each.lower() for each in binary_types}
    return "*/*" in patterns or plain in patterns or f"{plain.partition('/')[0]}/*" in patterns


def _content(request: HttpRequest) -> tuple[str | None, bool]:
    if not request.body:
        return None, False
    if is_binary(dict(request.headers()).get("content-type", ""), request.api.binary_types):
        return base64.b64encode(request.body).decode(), True
    return request.body.decode(errors="replace"), False


def _context(request: HttpRequest, headers: Mapping[str, str]) -> Event:
    host, route = headers.get("Host", ""), request.match.route
    agent = headers.get("User-Agent")
    return {
        "accountId": ACCOUNT_ID,
        "apiId": request.api.api_id,
        "domainName": host,
        "domainPrefix": host.split(".")[0],
        "extendedRequestId": new_request_id(),
        "httpMethod": request.scope["method"],
        "identity": dict.fromkeys(_NO_IDENTITY) | {"sourceIp": request.source_ip, "userAgent": agent},
        "path": request.path,
        "protocol": f"HTTP/{request.scope['http_version']}",
        "requestId": request.request_id,
        "requestTime": request.time(),
        "requestTimeEpoch": int(request.now * 1000),
        "resourceId": hashlib.sha256(route.path.encode()).hexdigest()[:6],
        "resourcePath": route.path,
        "stage": request.api.stage,
    }
