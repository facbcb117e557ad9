"""Operations on feedback: a user rates a reply of the assistant, administrators read what users say."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.records import Feedback, Message, Role
from handlers.http.dependencies import CurrentUser, Services, ServicesDep, administrator
from handlers.http.problems import BAD_PATH, COMMON, TOO_LARGE, documented
from handlers.http.schemas import ChatId, Cursor, FeedbackList, FeedbackView, Limit, NewFeedback, ReplyId

router = APIRouter(tags=["feedback"], responses=COMMON)
NO_REPLY = documented(ErrorCode.CHAT_NOT_FOUND, ErrorCode.MESSAGE_NOT_FOUND) | BAD_PATH
PATH = "/chats/{chatId}/messages/{messageId}/feedback"
Month = Annotated[
    str, Query(pattern=r"^\d{4}-(0[1-9]|1[0-2])$", description="The month of the replies, this one if absent.")
]


@router.post(PATH, status_code=204, responses=NO_REPLY | TOO_LARGE)
def give_feedback(
    services: ServicesDep, user_id: CurrentUser, chat_id: ChatId, message_id: ReplyId, given: NewFeedback
) -> None:
    """Rate a reply, with a text or without. It takes the place of what the user said of it before."""
    reply = _reply(services, user_id, chat_id, message_id)
    feedback = Feedback(user_id, chat_id, message_id, given.rating, given.text, services.runtime.now())
    if not services.store.feedback.give(feedback, reply):
        raise Refused(ErrorCode.MESSAGE_NOT_FOUND)


@router.delete(PATH, status_code=204, responses=NO_REPLY)
def delete_feedback(services: ServicesDep, user_id: CurrentUser, chat_id: ChatId, message_id: ReplyId) -> None:
    """Take back what the user said of a reply, if anything."""
    services.store.feedback.remove(_reply(services, user_id, chat_id, message_id))


@router.get(
    "/admin/feedback",
    tags=["admin"],
    dependencies=[Depends(administrator)],
    responses=documented(ErrorCode.FORBIDDEN),
)
def list_feedback(
    services: ServicesDep, month: Month | None = None, limit: Limit = 50, cursor: Cursor | None = None
) -> FeedbackList:
    """Return the feedback on the replies of a month (UTC), that on the newest reply first."""
    page = services.store.feedback.page(month or f"{services.runtime.now():%Y-%m}", limit, cursor)
    return FeedbackList(feedback=[FeedbackView.of(each) for each in page.items], cursor=page.cursor)


def _reply(services: Services, user_id: str, chat_id: str, message_id: str) -> Message:
    """Return a reply in a chat of the user. Raises `Refused`."""
    services.chat(user_id, chat_id)
    message = services.store.messages.get(chat_id, message_id)
    if message is None or message.role is not Role.ASSISTANT:
        raise Refused(ErrorCode.MESSAGE_NOT_FOUND)
    return message
