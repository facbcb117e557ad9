"""Operations on attachments: begin an upload, and read a file of a message."""

from __future__ import annotations

from fastapi import APIRouter, Response

from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.protocol.attachments import check_new, is_id
from handlers.chat.records import Attachment
from handlers.chat.store.attachments import Place
from handlers.http.dependencies import CurrentUser, ServicesDep
from handlers.http.problems import COMMON, NO_CHAT, TOO_LARGE, documented
from handlers.http.schemas import AttachmentId, ChatId, LinkView, NewAttachment, UploadView

router = APIRouter(tags=["attachments"], responses=COMMON | NO_CHAT)

_NOT_TAKEN = documented(ErrorCode.ATTACHMENT_TYPE, ErrorCode.ATTACHMENT_TOO_LARGE, ErrorCode.BODY_TOO_LARGE)
_NO_FILE = documented(ErrorCode.CHAT_NOT_FOUND, ErrorCode.ATTACHMENT_NOT_FOUND)


@router.post("/attachments", status_code=201, responses=TOO_LARGE | _NOT_TAKEN)
def create_attachment(services: ServicesDep, user_id: CurrentUser, new: NewAttachment) -> UploadView:
    """Return a form for the upload of one file to a chat. A file that no message names is deleted after a day.

    Post the form to `url` as `multipart/form-data`: all `fields` first, and then the file as the field `file`.
    """
    settings = services.settings
    attachment = Attachment(services.runtime.new_id(), new.name, new.type.lower(), new.bytes)
    megabytes = settings.attachment_megabytes if services.store.attachments.is_there else 0
    check_new(attachment, megabytes, takes_images=settings.prompt_images > 0)
    place = Place.of(services.chat(user_id, new.chat_id))
    upload = services.store.attachments.upload(place, attachment, services.runtime.now())
    return UploadView.of(attachment, upload)


@router.get("/chats/{chatId}/attachments/{attachmentId}", responses=_NO_FILE)
def get_attachment(
    services: ServicesDep, user_id: CurrentUser, chat_id: ChatId, attachment_id: AttachmentId, response: Response
) -> LinkView:
    """Return a link to a file of a message in the user's chat, for some minutes. Whoever has the link may read it."""
    place = Place.of(services.chat(user_id, chat_id))
    files = services.store.attachments
    kept = files.kept(place, attachment_id) if files.is_there and is_id(attachment_id) else None
    if kept is None:
        raise Refused(ErrorCode.ATTACHMENT_NOT_FOUND)
    response.headers["Cache-Control"] = "no-store"
    return LinkView.of(kept, files.link(place, kept, services.runtime.now()))
