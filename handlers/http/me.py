"""Operations on the user of the token."""

from __future__ import annotations

from fastapi import APIRouter

from handlers.chat.limits.policy import day_of
from handlers.http.dependencies import CurrentUser, ServicesDep
from handlers.http.problems import COMMON
from handlers.http.schemas import DailyUsage, Me

router = APIRouter(prefix="/me", tags=["me"], responses=COMMON)


@router.get("")
def get_me(services: ServicesDep, user_id: CurrentUser) -> Me:
    """Return the user of the bearer token."""
    user = services.store.users.get(user_id)
    return Me(user_id=user_id, name=(user and user.name) or user_id, roles=sorted(user.roles) if user else [])


@router.get("/usage")
def get_usage(services: ServicesDep, user_id: CurrentUser) -> DailyUsage:
    """Return what the user has used up today, UTC."""
    today = day_of(services.runtime.now())
    spent = services.store.users.quota_usage(user_id)
    messages = spent.messages if spent and spent.day == today else 0
    return DailyUsage(day=today, messages=messages, tokens=services.store.users.tokens_used(user_id, today))
