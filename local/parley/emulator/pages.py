"""The pages that the emulator serves: the console, and the chat page of a template that asks for it.

`clients/pages` has their sources. The build puts them into the folder `pages` of this package, and the wheel carries
them. Pages of the chat are at the same paths as on a static site (docs/deploy.md), which serves the same files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parley import dev_tokens
from parley.asgi import Response, Scope
from parley.emulator.options import Options
from parley.emulator.paths import CONFIG_PATH, OWN_PATH, WEBSOCKET_PATH
from parley.emulator.request_check import RequestCheck
from parley.emulator.variables import has_users
from parley.template.model import Template

FOLDER = Path(__file__).parents[1] / "pages"
"""The folder of the built pages: one folder for each page."""

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        # A message may show images of the web, and those that a user is about to upload.
        "img-src 'self' data: blob: https:",
        "font-src 'self'",
        # The APIs of a deployment have hosts of their own.
        "connect-src 'self' https: wss: ws:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        # No text becomes HTML but by DOMPurify (https://www.w3.org/TR/trusted-types/).
        "require-trusted-types-for 'script'",
        "trusted-types dompurify",
    )
)
"""The policy of both pages (https://www.w3.org/TR/CSP3/): no script and no style but those of the files."""

_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
    ".map": "application/json",
}
_FOR_EVER = "public, max-age=31536000, immutable"
"""For files whose names have a hash of their content."""

NOT_BUILT = (
    "The pages are not built. Run `make pages`: it needs Node 20 or newer, and fetches one from PyPI if there is none. "
    "Everything else works without them."
)


def are_built(folder: Path = FOLDER) -> bool:
    """Return whether the pages are there."""
    return all((folder / page / "index.html").is_file() for page in ("chat", "console"))


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages. `template` and `overrides` return what there is now; `check` knows who may have a token."""

    options: Options
    template: Callable[[], Template]
    overrides: Callable[[], Mapping[str, str]]
    check: RequestCheck
    folder: Path = FOLDER

    def answer(self, scope: Scope) -> Response | None:
        """Return the answer to a request for a page or for a file of one, None for any other path."""
        path: str = scope["path"]
        if scope["method"] not in ("GET", "HEAD"):
            return None
        if self.template().chat_page:
            if path == CONFIG_PATH:
                return _for(scope, self._config(scope))
            if path == "/" or path.startswith("/assets/"):
                return _for(scope, self._file("chat", path.removeprefix("/")))
        if path == OWN_PATH.rstrip("/"):
            return Response(308, {"location": OWN_PATH})
        if path == OWN_PATH or path.startswith(f"{OWN_PATH}assets/"):
            return _for(scope, self._file("console", path.removeprefix(OWN_PATH)))
        return None

    def answer_token(self, method: str, body: bytes) -> Response:
        """Answer a request for a token of one of the emulator's users: `{"userId": …}`."""
        if method != "POST":
            return Response.of_json(405, {"message": "Method Not Allowed"}, {"allow": "POST"})
        try:
            user = json.loads(body)["userId"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return Response.of_json(400, {"message": 'Send {"userId": "…"}.'})
        if not self._users() or user not in self._users():
            return Response.of_json(404, {"message": "The emulator has no such user. --user NAME adds one."})
        return Response.of_json(200, {"token": self._token(user)}, {"cache-control": "no-store"})

    def _config(self, scope: Scope) -> Response:
        """Return where the chat page finds the APIs, and, for this machine's own page only, its users and a token."""
        config: dict[str, Any] = {"webSocketUrl": WEBSOCKET_PATH, "httpUrl": ""}
        users = self._users()
        if users and self.check.refusal_of_own(scope) is None:
            config |= {"users": list(users), "token": self._token(users[0])}
        return Response.of_json(200, config, {**_HEADERS, "cache-control": "no-store"})

    def _users(self) -> tuple[str, ...]:
        return tuple(self.options.users) if has_users(self.template()) else ()

    def _token(self, user: str) -> str:
        return dev_tokens.token(user, dev_tokens.secret(self.overrides()))

    def _file(self, page: str, path: str) -> Response:
        """Return a file of a page. Only the page itself and its assets are served, and these are in one folder."""
        file = self.folder / page / (path or "index.html")
        if file.parent not in (self.folder / page, self.folder / page / "assets") or file.name in ("", ".."):
            return Response.of_json(404, {"message": "Not Found"})
        try:
            content = file.read_bytes()
        except OSError:
            if path:
                return Response.of_json(404, {"message": "Not Found"})
            return Response(503, {"content-type": "text/plain; charset=utf-8"}, f"{NOT_BUILT}\n".encode())
        kind = _KINDS.get(file.suffix, "application/octet-stream")
        caching = _FOR_EVER if path else "no-cache"
        return Response(200, {**_HEADERS, "content-type": kind, "cache-control": caching}, content)


def _for(scope: Scope, response: Response) -> Response:
    """Return the response to HEAD without its body."""
    if scope["method"] == "GET":
        return response
    return Response(response.status, response.headers, length=len(response.body))
