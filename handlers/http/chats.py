"""Operations on chats: list, create, read, rename, delete."""

from __future__ import annotations

from fastapi import APIRouter

from handlers.chat import erasure
from handlers.chat.errors import ErrorCode
from handlers.chat.ids import chat_id_of
from handlers.chat.protocol.frames import ChatDeleted, ChatUpdated
from handlers.chat.records import Chat
from handlers.chat.turns import creation
from handlers.http.dependencies import CurrentUser, ServicesDep
from handlers.http.problems import COMMON, NO_CHAT, TOO_LARGE, documented
from handlers.http.schemas import ChatChange, ChatId, ChatList, ChatSummary, ChatView, Cursor, Limit, NewChat

router = APIRouter(prefix="/chats", tags=["chats"], responses=COMMON)


@router.get("")
def list_chats(
    services: ServicesDep, user_id: CurrentUser, limit: Limit = 50, cursor: Cursor | None = None
) -> ChatList:
    """Return the user's chats, the one in which the user asked last first. A change is seen some milliseconds later."""
    page = services.store.chats.page(user_id, limit, cursor)
    # A deployment that has no other assistants does not pay for a look at each chat.
    alone = services.settings.assistants.is_default_alone
    chats = page.items if alone else services.store.chats.with_assistants(page.items)
    return ChatList(chats=[ChatSummary.of(chat, services.title(chat)) for chat in chats], cursor=page.cursor)


@router.post(
    "",
    status_code=201,
    responses=TOO_LARGE | documented(ErrorCode.INVALID_FORMAT, ErrorCode.UNKNOWN_ASSISTANT),
)
def create_chat(services: ServicesDep, user_id: CurrentUser, new: NewChat) -> ChatView:
    """Create a chat, in which `assistant` answers, or else the default one.

    If a chat was created with the same `clientChatId` before, it is returned unchanged.
    """
    chat_id = chat_id_of(user_id, new.client_chat_id) if new.client_chat_id else services.runtime.new_id()
    now = services.runtime.now()
    assistant = services.settings.assistants.kept_id(new.assistant)
    chat = Chat(user_id, chat_id, new.title, assistant=assistant, created_at=now, updated_at=now)
    kept = creation.create_chat(services.store, chat, services.settings.limits.chats_per_user, now)
    return ChatView.of(kept, services.title(kept))


@router.get("/{chatId}", responses=NO_CHAT)
def get_chat(services: ServicesDep, user_id: CurrentUser, chat_id: ChatId) -> ChatView:
    """Return a chat."""
    chat = services.chat(user_id, chat_id)
    return ChatView.of(chat, services.title(chat))


@router.patch("/{chatId}", responses=NO_CHAT | TOO_LARGE)
def rename_chat(services: ServicesDep, user_id: CurrentUser, chat_id: ChatId, change: ChatChange) -> ChatView:
    """Give a chat another title. All connections of the user get `chat_updated`."""
    chat = services.store.chats.rename(user_id, chat_id, change.title) or services.chat(user_id, chat_id)
    services.tell(user_id, ChatUpdated(chat_id=chat_id, title=services.title(chat)))
    return ChatView.of(chat, services.title(chat))


@router.delete("/{chatId}", status_code=204, responses=NO_CHAT)
def delete_chat(services: ServicesDep, user_id: CurrentUser, chat_id: ChatId) -> None:
    """Delete a chat. A running reply ends, and all connections of the user get `chat_deleted`."""
    erasure.delete_chat(
        services.store,
        user_id,
        chat_id,
        services.erase,
        lambda owner, deleted: services.tell(owner, ChatDeleted(chat_id=deleted)),
    )
