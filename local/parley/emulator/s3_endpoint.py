"""The endpoint of S3: CORS, signed URLs and forms are checked here, before the buckets answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from parley.asgi import Response, Scope
from parley.aws_services import AwsServices
from parley.aws_services.s3_cors import cors_headers, preflight, rule_for
from parley.aws_services.s3_signatures import (
    Form,
    S3Refusal,
    SecretOf,
    authorization,
    check_url,
    is_signed_url,
    unsigned,
)
from parley.emulator.paths import SERVICES_PATH
from parley.gateway.events import decode_headers
from parley.host_check import comes_from_a_foreign_page
from parley.template.model import Bucket

S3_PATH = f"{SERVICES_PATH}/s3"


@dataclass(frozen=True, slots=True)
class S3Endpoint:
    """The requests to S3. `described` returns the buckets of the template as it is now, and what knows functions' keys.

    `is_welcome` tells of an origin if its pages may use the emulator.
    """

    services: AwsServices
    described: Callable[[], tuple[tuple[Bucket, ...], SecretOf]]
    is_welcome: Callable[[str], bool]

    def is_open_to_pages(self, scope: Scope) -> bool:
        """Tell if a page may send this request: a preflight, or what a function has signed."""
        if not scope["path"].startswith(f"{S3_PATH}/"):
            return False
        kinds = [value.lower() for name, value in scope["headers"] if name.lower() == b"content-type"]
        is_form = scope["method"] == "POST" and any(kind.startswith(b"multipart/form-data") for kind in kinds)
        return scope["method"] == "OPTIONS" or is_form or is_signed_url(scope["query_string"].decode("latin-1"))

    async def answer(self, scope: Scope, body: bytes) -> Response:
        """Answer a request to S3."""
        headers = dict(decode_headers(scope["headers"]))
        lower = {name.lower(): value for name, value in headers.items()}
        origin = lower.get("origin")
        asked = lower.get("access-control-request-method") if scope["method"] == "OPTIONS" else None
        rule = None
        if origin is not None:
            wanted = lower.get("access-control-request-headers", "") if asked else ""
            rule = rule_for(self._bucket(scope), origin, asked or scope["method"], wanted, self.is_welcome)
        if asked is not None:
            return preflight(rule, lower)
        try:
            answer = await self._answer(scope, headers, lower, body)
        except S3Refusal as refusal:
            answer = refusal.response
        return replace(answer, headers={**answer.headers, **cors_headers(rule, origin)}) if rule and origin else answer

    async def _answer(self, scope: Scope, headers: dict[str, str], lower: Mapping[str, str], body: bytes) -> Response:
        """Answer a request that is no preflight. Raises `S3Refusal`."""
        raw, query = _raw_path(scope), scope["query_string"].decode("latin-1")
        secret_of = self._known_secret if self._is_a_strangers_page(lower) else self.described()[1]
        is_signed = is_signed_url(query)
        if is_signed:
            check_url(scope["method"], raw, query, lower, secret_of, datetime.now(UTC))
            # moto checks signed URLs in ways of its own, so it gets a request that is signed in its headers.
            query, headers = unsigned(query), {**headers, "Authorization": authorization(query)}
        if scope["method"] == "POST" and "authorization" not in lower and not is_signed:
            form = Form.of(lower.get("content-type", ""), body)
            if form is None:
                raise S3Refusal("AccessDenied", "Access Denied")
            form.check(self._name(scope), secret_of, datetime.now(UTC))
        resource = raw.partition(S3_PATH)[2] + (f"?{query}" if query else "")
        return await self.services.answer("s3", scope["method"], headers, body, resource or "/")

    def _is_a_strangers_page(self, headers: Mapping[str, str]) -> bool:
        return comes_from_a_foreign_page(headers) and not self.is_welcome(headers.get("origin", "null"))

    def _known_secret(self, access_key: str) -> str | None:
        """Return the secret of a key. Raises `S3Refusal` if it is nobody's: else any page could sign for itself."""
        secret = self.described()[1](access_key)
        if secret is None:
            text = "The AWS Access Key Id you provided does not exist in our records."
            raise S3Refusal("InvalidAccessKeyId", text)
        return secret

    def _name(self, scope: Scope) -> str:
        return str(scope["path"].removeprefix(f"{S3_PATH}/").partition("/")[0])

    def _bucket(self, scope: Scope) -> Bucket | None:
        name = self._name(scope)
        return next((bucket for bucket in self.described()[0] if bucket.name == name), None)


def _raw_path(scope: Mapping[str, Any]) -> str:
    return str(scope["raw_path"].decode("latin-1").partition("?")[0])
