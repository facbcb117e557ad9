"""CORS of buckets: which web pages may use one, as the template says. No I/O.

Where a template says nothing, S3 allows no page. Here pages of this machine are allowed then, as for HTTP APIs: a
front end runs on another port.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

from parley.asgi import Response
from parley.template.model import Bucket, CorsRule

_ANYTHING = CorsRule((), ("GET", "HEAD", "PUT", "POST", "DELETE"), ("*",), ("ETag",))


def rule_for(
    bucket: Bucket | None, origin: str, method: str, headers: str, is_welcome: Callable[[str], bool]
) -> CorsRule | None:
    """Return the first rule that allows a request of a page, None if none does.

    `headers` are those that the page asks for, with commas. `is_welcome` tells of an origin if its pages may use the
    emulator.
    """
    if bucket is None or bucket.cors is None:
        return replace(_ANYTHING, origins=(origin,)) if is_welcome(origin) else None
    asked = [each.strip().lower() for each in headers.split(",") if each.strip()]
    return next((rule for rule in bucket.cors if _allows(rule, origin, method, asked)), None)


def cors_headers(rule: CorsRule, origin: str) -> dict[str, str]:
    """Return the headers of an answer that a page may read."""
    exposed = {"access-control-expose-headers": ", ".join(rule.exposed)} if rule.exposed else {}
    return {
        "access-control-allow-origin": "*" if rule.origins == ("*",) else origin,
        "access-control-allow-methods": ", ".join(rule.methods),
        "vary": "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
        **exposed,
    }


def preflight(rule: CorsRule | None, headers: Mapping[str, str]) -> Response:
    """Return the answer to a preflight request. `headers` are its request's, with lower-case names."""
    if rule is None:
        text = "<Message>CORSResponse: This CORS request is not allowed.</Message>"
        body = f"<Error><Code>AccessForbidden</Code>{text}</Error>"
        return Response(403, {"content-type": "application/xml"}, body.encode())
    asked = headers.get("access-control-request-headers", "")
    more = {"access-control-allow-headers": asked} if asked else {}
    age = {"access-control-max-age": rule.max_age} if rule.max_age else {}
    return Response(200, {**cors_headers(rule, headers.get("origin", "")), **more, **age})


def _allows(rule: CorsRule, origin: str, method: str, asked: list[str]) -> bool:
    return (
        any(fnmatchcase(origin, each) for each in rule.origins)
        and method in rule.methods
        and all(any(fnmatchcase(name, each.lower()) for each in rule.headers) for name in asked)
    )
