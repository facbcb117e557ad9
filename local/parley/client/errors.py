"""Exceptions of the client. Each text says what happened, and the next step."""

from __future__ import annotations


class ParleyError(Exception):
    """Base of all exceptions of the client."""


class Unreachable(ParleyError):
    """The server cannot be reached. `status` is the HTTP status of a refused handshake, None if there was none."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class UnsupportedProtocol(ParleyError):
    """The server's protocol has another major version than this client."""


class Closed(ParleyError):
    """The connection is closed for good: by the server with 1000, or by `close`."""


class RequestLost(ParleyError):
    """The connection was lost before the answer, and the request must not be sent twice. Look, then ask again."""


class ReplyGone(ParleyError):
    """The chat does not show the reply any more: another device has changed the branch, or the chat was deleted."""


class Refused(ParleyError):
    """The server refused a request. `code` is that of the protocol, `retry_after` a number of seconds.

    `words` are those of the server, in the language of the deployment.
    """

    def __init__(
        self, text: str, code: str | None = None, retry_after: float | None = None, words: str | None = None
    ) -> None:
        super().__init__(text)
        self.words = words or text
        self.code = code
        self.retry_after = retry_after


class InvalidToken(Refused):
    """The server refused the token, or the token has expired and there is no function that fetches a new one."""


class ChatNotFound(Refused):
    """The server has no chat with this id, or it is another user's."""


class TooLarge(Refused):
    """The gateway refused the frame because of its size. It is not sent again."""
