"""What the operations work with, and who is asking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from handlers.chat.concurrency import Runtime
from handlers.chat.connections import OpenConnections
from handlers.chat.delivery import delivery
from handlers.chat.delivery.delivery import Delivery
from handlers.chat.delivery.functions import Functions
from handlers.chat.erasure import Erasure
from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.identity.tokens import Authenticator
from handlers.chat.log import logger
from handlers.chat.protocol.frames import ServerFrame
from handlers.chat.records import ADMIN, Chat, User
from handlers.chat.settings import Settings
from handlers.chat.store import Store


@dataclass(frozen=True, slots=True)
class Services:
    """Everything behind the HTTP API. `connections` gives the open connections, and is called when they are needed."""

    store: Store
    authenticator: Authenticator
    functions: Functions
    settings: Settings
    connections: Callable[[], OpenConnections]
    runtime: Runtime

    def title(self, chat: Chat) -> str:
        """Return the title of a chat as people see it."""
        return chat.title or self.settings.texts.new_chat

    def chat(self, user_id: str, chat_id: str) -> Chat:
        """Return a user's chat. Raises `Refused` with `chat_not_found`."""
        chat = self.store.chats.get(user_id, chat_id)
        if chat is None:
            raise Refused(ErrorCode.CHAT_NOT_FOUND)
        return chat

    def user(self, user_id: str) -> User:
        """Return a user. Raises `Refused` with `user_not_found`."""
        user = self.store.users.get(user_id)
        if user is None:
            raise Refused(ErrorCode.USER_NOT_FOUND)
        return user

    def tell(self, user_id: str, frame: ServerFrame) -> None:
        """Have a frame delivered to all connections of a user. What has been done stays done where that fails."""
        try:
            self.deliver(delivery.to_user(user_id, frame))
        except Exception:
            logger.exception("frame not handed over: clients see the change when they ask", frame=frame.type)

    def deliver(self, work: Delivery) -> None:
        """Hand a frame over. May raise botocore's errors."""
        self.functions.invoke(self.settings.deliver_function, work.payload())

    def erase(self, erasure: Erasure) -> None:
        """Have what a chat leaves behind deleted in the background. May raise botocore's errors."""
        self.functions.invoke(self.settings.erase_function, erasure.payload())

    def close_connections(self, user_id: str) -> int:
        """Close all connections of a user and return how many were open. Raises `PostFailed`."""
        return sum(self.connections().close(each) for each in self.store.connections.of_user(user_id))


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Desk = Annotated[Services, Depends(_services)]
_BEARER = HTTPBearer(auto_error=False, bearerFormat="JWT", description="A token of the operator's identity provider.")


def _user_id(desk: Desk, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> str:
    """Return the id of the bearer token's user. Raises `Refused`: 401 for a missing token as for a bad one."""
    if bearer is None:
        raise Refused(ErrorCode.NOT_AUTHENTICATED)
    user_id = desk.authenticator.user_of(bearer.credentials)
    logger.append_keys(user_id=user_id)
    return user_id


CurrentUser = Annotated[str, Depends(_user_id)]


def administrator(desk: Desk, user_id: CurrentUser) -> None:
    """Let administrators pass. The role is the user's own in the database, never the token's. Raises `Refused`."""
    user = desk.store.users.get(user_id)
    if user is None or ADMIN not in user.roles:
        raise Refused(ErrorCode.FORBIDDEN)
