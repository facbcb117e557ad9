"""The middleware around every request: limits of the body, headers of the response, unexpected errors."""

from __future__ import annotations

from http import HTTPStatus

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from handlers.chat.errors import ErrorCode, Misconfigured, Refused
from handlers.chat.log import logger
from handlers.chat.protocol import parsing
from handlers.chat.settings import ACCESS, refuse_wrong
from handlers.http.problems import failure, problem, unavailable

HEALTH_PATH = "/health"
MAX_BODY_BYTES = 64 * 1024

HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    # Texts of users and of the model are data, never a page: nothing in them may run or be loaded.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
}


class Guard:
    """The outermost layer: it refuses bodies that are too large or no safe JSON, and lets no exception out.

    If a setting that decides who is let in is wrong, it refuses everything but `HEALTH_PATH`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        method = scope["method"]
        answer = _GuardedSend(send, with_body=method != "HEAD")
        if method == "HEAD":
            # A HEAD is a GET whose answer has no body (RFC 9110 section 9.3.2).
            scope = {**scope, "method": "GET"}
        try:
            if scope["path"] != HEALTH_PATH:
                refuse_wrong(scope["app"].state.services.wrong_settings, ACCESS)
            body = await _body(receive)
            if body:
                # Whatever its Content-Type says: no operation takes anything but JSON, and what is not safe to parse
                # must not reach a parser that reads the type in another way.
                parsing.parse(body)
            await self._app(scope, _replay(body), answer)
        except Refused as refusal:
            await problem(scope, refusal)(scope, receive, answer)
        except Misconfigured as error:
            await unavailable(scope, error)(scope, receive, answer)
        except Exception as error:
            await failure(scope, error)(scope, receive, answer)
        logger.info("request_handled", method=method, status=answer.status)
        return None


class _GuardedSend:
    def __init__(self, send: Send, with_body: bool) -> None:
        self._send = send
        self._with_body = with_body
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers.update(HEADERS)
            if self.status == HTTPStatus.NO_CONTENT:
                # FastAPI sets it although there is no body.
                del headers["content-type"]
        elif not self._with_body:
            message = {**message, "body": b""}
        await self._send(message)


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MAX_BODY_BYTES:
            raise Refused(ErrorCode.BODY_TOO_LARGE, f"A body has at most {MAX_BODY_BYTES} bytes")
    return body


def _replay(body: bytes) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive
