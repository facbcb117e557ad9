"""The dependencies of the operations: the services behind the API, and the user of the request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from handlers.chat import concurrency, erasure
from handlers.chat.connections import OpenConnections
from handlers.chat.delivery import delivery
from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.identity.tokens import Authenticator
from handlers.chat.log import logger
from handlers.chat.protocol.frames import ServerFrame
from handlers.chat.records import ADMIN, Chat, User
from handlers.chat.settings import Settings
from handlers.chat.store import Store


@dataclass(frozen=True, slots=True)
class Services:
    """Everything behind the HTTP API.

    `deliver` and `erase` hand work over to our other functions; they raise botocore's errors. `connections` gives the
    open connections: only operations that close some pay for them.
    `count_request` counts a request of a user. It raises `Refused` if the user has sent too many. `wrong_settings` are
    the variables of the deployment whose values cannot be used, with a text for each.
    """

    store: Store
    authenticator: Authenticator
    runtime: concurrency.Runtime
    settings: Settings
    deliver: Callable[[delivery.Delivery], None]
    erase: Callable[[erasure.Erasure], None]
    connections: Callable[[], OpenConnections]
    count_request: Callable[[str], None]
    wrong_settings: Mapping[str, str] = field(default_factory=dict)

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
        """Have a frame delivered to all connections of a user. If that fails, the request succeeds all the same."""
        try:
            self.deliver(delivery.to_user(user_id, frame))
        except Exception:
            # The change is stored: clients see it when they read it the next time.
            logger.exception("delivery_not_invoked", frame=frame.type)

    def close_connections(self, user_id: str) -> int:
        """Close and forget all connections of a user, and return how many were open. Raises `PostFailed`."""
        return sum(self.connections().close_and_forget(each) for each in self.store.connections.of_user(user_id))


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(_services)]
_BEARER = HTTPBearer(auto_error=False, bearerFormat="JWT", description="A token of the operator's identity provider.")


def _user_id(services: ServicesDep, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> str:
    """Return the id of the bearer token's user, and count the request.

    Raises `Refused`: with 401 for a missing token and for a bad one, with 429 for too many requests of the user.
    """
    if bearer is None:
        raise Refused(ErrorCode.NOT_AUTHENTICATED)
    user_id = services.authenticator.user_of(bearer.credentials)
    logger.append_keys(user_id=user_id)
    services.count_request(user_id)
    return user_id


CurrentUser = Annotated[str, Depends(_user_id)]


def administrator(services: ServicesDep, user_id: CurrentUser) -> None:
    """Let administrators pass. The role is read from the database, never from the token. Raises `Refused`."""
    user = services.store.users.get(user_id)
    if user is None or ADMIN not in user.roles:
        raise Refused(ErrorCode.FORBIDDEN)
