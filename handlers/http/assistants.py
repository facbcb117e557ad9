"""Operation on the assistants: list them."""

from __future__ import annotations

from fastapi import APIRouter

from handlers.http.dependencies import CurrentUser, ServicesDep
from handlers.http.problems import COMMON
from handlers.http.schemas import AssistantList, AssistantView

router = APIRouter(prefix="/assistants", tags=["assistants"], responses=COMMON)


@router.get("")
def list_assistants(services: ServicesDep, user_id: CurrentUser) -> AssistantList:
    """Return the assistants that a new chat may name, the one for chats that name none first."""
    language = services.settings.texts.language
    return AssistantList(assistants=[AssistantView.of(each, language) for each in services.settings.assistants])
