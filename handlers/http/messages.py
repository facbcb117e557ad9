"""Operations on the messages of a chat: read them in pages, export them all."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.records import Chat, Message
from handlers.chat.turns import branches
from handlers.http import export
from handlers.http.dependencies import CurrentUser, Services, ServicesDep
from handlers.http.export import within
from handlers.http.problems import COMMON, NO_CHAT, documented
from handlers.http.schemas import ChatId, ChatView, Export, Limit, MessageId, MessageList, MessageView

router = APIRouter(prefix="/chats/{chatId}", tags=["messages"], responses=COMMON | NO_CHAT)


@router.get("/messages")
def list_messages(
    services: ServicesDep,
    user_id: CurrentUser,
    chat_id: ChatId,
    before: MessageId | None = None,
    after: MessageId | None = None,
    limit: Limit = 50,
) -> MessageList:
    """Return the newest messages of a chat, or those `before` or `after` one.

    They are those of the path that is shown. A page has fewer messages than `limit` if they are too large for one
    answer. There are older messages if `before` is not null.
    """
    if before is not None and after is not None:
        raise Refused(ErrorCode.INVALID_FORMAT, "Give `before` or `after`, not both")
    store, chat = services.store, services.chat(user_id, chat_id)
    if after is not None:
        newer, _ = within(branches.after(store, chat, after, limit), limit)
        views = _views(services, chat, newer)
        return _page(views, before=views[0].message_id if views else after, after=after)
    end, leaf = branches.end_of_page(store, chat, before)
    stored = store.messages.newest_first(chat_id, end, leaf=leaf, most=limit + 1, room=export.MAX_RESPONSE_BYTES)
    newest, more = within(stored, limit)
    views = _views(services, chat, newest[::-1])
    return _page(views, before=views[0].message_id if more else None, after=before)


def _views(services: Services, chat: Chat, messages: list[Message]) -> list[MessageView]:
    """Return the views of messages, with their siblings."""
    siblings = branches.siblings(services.store, chat, messages)
    return [MessageView.of(each, siblings) for each in messages]


def _page(views: list[MessageView], before: str | None, after: str | None) -> MessageList:
    return MessageList(messages=views, before=before, after=views[-1].message_id if views else after)


class Format(StrEnum):
    """The format of an export."""

    JSON = "json"
    MARKDOWN = "markdown"


EXPORTED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The chat, as a file",
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/Export"}},
            "text/markdown": {"schema": {"type": "string"}, "example": "# Tea\n"},
        },
        "headers": {"Content-Disposition": {"description": "The file's name.", "schema": {"type": "string"}}},
    }
}


@router.get(
    "/export",
    response_class=JSONResponse,
    response_model=None,
    responses=EXPORTED | documented(ErrorCode.CHAT_TOO_LARGE),
)
def export_chat(services: ServicesDep, user_id: CurrentUser, chat_id: ChatId, format: Format = Format.JSON) -> Response:  # noqa: A002
    """Return a whole chat as a file, with all its branches.

    A chat that does not fit into Lambda's 6 MB is refused: read it in pages.
    """
    chat = services.chat(user_id, chat_id)
    messages, more = within(services.store.messages.oldest_first(chat_id))
    if more:
        raise Refused(ErrorCode.CHAT_TOO_LARGE, "The chat is too large for one export; read its messages page by page")
    view = ChatView.of(chat, services.title(chat))
    whole = Export(chat=view, messages=_views(services, chat, messages), leaf=chat.leaf)
    if format is Format.MARKDOWN:
        return PlainTextResponse(
            export.markdown(whole), headers=export.file_name(view.title, "md"), media_type="text/markdown"
        )
    content = whole.model_dump(mode="json", by_alias=True)
    return JSONResponse(content, headers=export.file_name(view.title, "json"))
