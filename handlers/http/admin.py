"""Operations for administrators: send to users, list and close their connections, add and change users."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends

from handlers.chat.delivery.delivery import Delivery
from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.protocol import frames
from handlers.chat.protocol.frames import Notice
from handlers.chat.records import User
from handlers.http.dependencies import ServicesDep, administrator
from handlers.http.problems import COMMON, NO_USER, TOO_LARGE, documented
from handlers.http.schemas import (
    Announcement,
    ConnectionList,
    ConnectionView,
    Cursor,
    Disconnected,
    Limit,
    NewUser,
    UserChange,
    UserId,
    UserList,
    UserView,
)

router = APIRouter(
    prefix="/admin",
    tags=["admin"],
    dependencies=[Depends(administrator)],
    responses=COMMON | documented(ErrorCode.FORBIDDEN),
)
FRAME_TOO_LARGE = documented(ErrorCode.BODY_TOO_LARGE, ErrorCode.MESSAGE_TOO_LARGE)


@router.post("/broadcast", status_code=202, responses=FRAME_TOO_LARGE)
def broadcast(services: ServicesDep, announcement: Announcement) -> None:
    """Send a frame to every connection. The answer comes when the frame is handed over, not when it has arrived."""
    services.deliver(Delivery(_frame(announcement)))


@router.post("/users/{userId}/send", status_code=202, responses=NO_USER | FRAME_TOO_LARGE)
def send_to_user(services: ServicesDep, user_id: UserId, announcement: Announcement) -> None:
    """Send a frame to all connections of a user. The answer comes when the frame is handed over."""
    services.deliver(Delivery(_frame(announcement), user_id=services.user(user_id).user_id))


@router.get("/users/{userId}/connections", responses=NO_USER)
def list_connections(services: ServicesDep, user_id: UserId) -> ConnectionList:
    """Return the connections of a user."""
    rows = map(services.store.connections.get, services.store.connections.of_user(services.user(user_id).user_id))
    views = [
        ConnectionView(
            connection_id=row.connection_id, chat_id=row.chat_id, connected_at=frames.timestamp(row.connected_at)
        )
        for row in rows
        if row is not None
    ]
    return ConnectionList(connections=views)


@router.delete("/users/{userId}/connections", responses=NO_USER)
def disconnect_user(services: ServicesDep, user_id: UserId) -> Disconnected:
    """Close all connections of a user. Their clients see close code 1000, and may connect again."""
    return Disconnected(closed=services.close_connections(services.user(user_id).user_id))


@router.get("/users")
def list_users(services: ServicesDep, limit: Limit = 50, cursor: Cursor | None = None) -> UserList:
    """Return all users."""
    page = services.store.users.page(limit, cursor)
    return UserList(users=[UserView.of(user) for user in page.items], cursor=page.cursor)


@router.post("/users", status_code=201, responses=TOO_LARGE | documented(ErrorCode.USER_EXISTS))
def add_user(services: ServicesDep, new: NewUser) -> UserView:
    """Create a user."""
    user = User(new.user_id, new.name, frozenset(new.roles), created_at=services.runtime.now())
    if not services.store.users.add(user):
        raise Refused(ErrorCode.USER_EXISTS)
    return UserView.of(user)


@router.patch("/users/{userId}", responses=NO_USER | TOO_LARGE)
def change_user(services: ServicesDep, user_id: UserId, change: UserChange) -> UserView:
    """Change a user. A disabled user is refused like an unknown one, and all their connections are closed."""
    services.user(user_id)
    if change.name is not None:
        services.store.users.set_name(user_id, change.name)
    if change.roles is not None:
        services.store.users.set_roles(user_id, change.roles)
    if change.disabled is not None:
        services.store.users.set_disabled(user_id, change.disabled)
    if change.disabled:
        services.close_connections(user_id)
    return UserView.of(services.user(user_id))


def _frame(announcement: Announcement) -> dict[str, Any]:
    """Return the frame of an announcement. Raises `Refused` with `message_too_large`."""
    message = announcement.message
    frame = frames.as_json(Notice(message=message)) if isinstance(message, str) else message.model_dump()
    if len(frames.encode(frame)) > frames.MAX_FRAME_BYTES:
        raise Refused(ErrorCode.MESSAGE_TOO_LARGE, f"A frame has at most {frames.MAX_FRAME_BYTES} bytes")
    return frame
