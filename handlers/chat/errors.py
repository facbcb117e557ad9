"""Exceptions of this project, and the codes that clients see for them."""

from __future__ import annotations

from enum import StrEnum


class ErrorCode(StrEnum):
    """The codes of `error` frames, and of the HTTP API's problem documents."""

    INVALID_FORMAT = "invalid_format"
    UNKNOWN_TYPE = "unknown_type"
    INVALID_TOKEN = "invalid_token"  # noqa: S105 - a code, not a secret
    NOT_AUTHENTICATED = "not_authenticated"
    CHAT_NOT_FOUND = "chat_not_found"
    CREATE_FAILED = "create_failed"
    MESSAGE_EMPTY = "message_empty"
    MESSAGE_TOO_LARGE = "message_too_large"
    BUSY = "busy"
    RATE_LIMITED = "rate_limited"
    NOTHING_TO_CANCEL = "nothing_to_cancel"
    NOTHING_TO_REGENERATE = "nothing_to_regenerate"
    NOTHING_TO_APPROVE = "nothing_to_approve"
    NOTHING_TO_EDIT = "nothing_to_edit"
    NOTHING_TO_SELECT = "nothing_to_select"
    TOO_MANY_BRANCHES = "too_many_branches"
    MESSAGE_NOT_FOUND = "message_not_found"
    UNKNOWN_ASSISTANT = "unknown_assistant"
    ATTACHMENT_NOT_FOUND = "attachment_not_found"
    ATTACHMENT_TOO_LARGE = "attachment_too_large"
    ATTACHMENT_TYPE = "attachment_type"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    BODY_TOO_LARGE = "body_too_large"
    CHAT_TOO_LARGE = "chat_too_large"
    USER_NOT_FOUND = "user_not_found"
    USER_EXISTS = "user_exists"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


MESSAGES: dict[ErrorCode, str] = {
    ErrorCode.INVALID_FORMAT: "Invalid message format",
    ErrorCode.UNKNOWN_TYPE: "Unknown message type",
    ErrorCode.INVALID_TOKEN: "Invalid authentication token",
    ErrorCode.NOT_AUTHENTICATED: "Not authenticated",
    ErrorCode.CHAT_NOT_FOUND: "Chat not found or access denied",
    ErrorCode.CREATE_FAILED: "Failed to create chat",
    ErrorCode.MESSAGE_EMPTY: "Message is empty",
    ErrorCode.MESSAGE_TOO_LARGE: "Message is too large",
    ErrorCode.BUSY: "A reply is already being generated in this chat",
    ErrorCode.NOTHING_TO_CANCEL: "There is no such reply to cancel",
    ErrorCode.NOTHING_TO_REGENERATE: "There is no reply to regenerate",
    ErrorCode.NOTHING_TO_APPROVE: "There is no such call to approve",
    ErrorCode.NOTHING_TO_EDIT: "The conversation as it is shown has no such message of the user",
    ErrorCode.NOTHING_TO_SELECT: "The conversation as it is shown has no message with such a sibling",
    ErrorCode.MESSAGE_NOT_FOUND: "There is no such reply in this chat",
    ErrorCode.TOO_MANY_BRANCHES: "This message has as many siblings as it can have",
    ErrorCode.UNKNOWN_ASSISTANT: "There is no such assistant",
    ErrorCode.ATTACHMENT_NOT_FOUND: "There is no such attachment in this chat, or nothing was uploaded for it",
    ErrorCode.ATTACHMENT_TOO_LARGE: "The attachment is too large",
    ErrorCode.ATTACHMENT_TYPE: "Files of this type are not taken",
    ErrorCode.FORBIDDEN: "This takes an administrator",
    ErrorCode.NOT_FOUND: "There is nothing at this path",
    ErrorCode.METHOD_NOT_ALLOWED: "This path does not take this method",
    ErrorCode.BODY_TOO_LARGE: "The request's body is too large",
    ErrorCode.CHAT_TOO_LARGE: "The chat is too large for one export",
    ErrorCode.USER_NOT_FOUND: "There is no such user",
    ErrorCode.USER_EXISTS: "A user with this id exists",
    ErrorCode.RATE_LIMITED: "Too many requests",
    ErrorCode.UNAVAILABLE: "The service is unavailable: its operator has to correct a setting",
    ErrorCode.INTERNAL: "Internal error",
}
"""The text of a code, if the exception brings none of its own."""


STORE_RETRY_SECONDS = 2
"""The time that a client is asked to wait if the database did not answer, or throttled us."""


class ParleyError(Exception):
    """The base of this project's exceptions."""


class Refused(ParleyError):
    """A refusal of a request: nothing was stored. It becomes one `error` frame, or one problem document.

    `retry_after` is the number of seconds that the client should wait before the next try.
    """

    def __init__(self, code: ErrorCode, message: str | None = None, retry_after: int | None = None) -> None:
        self.code = code
        self.message = message or MESSAGES[code]
        self.retry_after = retry_after
        super().__init__(self.message)


class ConnectionGone(ParleyError):
    """API Gateway answered 410: the connection is closed, or is not open yet."""


class NotOpenYet(ParleyError):
    """A connection did not open in time for its greeting, and may still open. Lambda tries the greeting again."""


class ConnectionChanged(ParleyError):
    """Another frame has given the connection another user, chat or session since its row was read."""


class PostFailed(ParleyError):
    """A frame did not reach its connection, which may still be open: throttled, timed out, or an error of AWS."""


class KeysUnavailable(ParleyError):
    """The identity provider's keys cannot be fetched, and none were fetched before, so no token can be checked."""


class ModelFailed(ParleyError):
    """The model did not complete its answer: an error, a broken stream, or silence.

    With `billed` False nobody can be billed for it: the server refused the question, or never received it.
    """

    def __init__(self, reason: str, *, billed: bool = True) -> None:
        self.billed = billed
        super().__init__(reason)


class Misconfigured(ParleyError):
    """A setting is missing or cannot be used. The text names the variables and says what to set them to."""

    def __init__(self, text: str, *variables: str) -> None:
        self.variables = variables
        super().__init__(text)
