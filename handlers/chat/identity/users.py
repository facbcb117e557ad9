"""The users who may use this deployment: those in the table, and new ones if the deployment creates them."""

from __future__ import annotations

from dataclasses import dataclass

from handlers.chat.concurrency import Runtime
from handlers.chat.identity.tokens import Identity
from handlers.chat.log import logger
from handlers.chat.records import User
from handlers.chat.store import Store


@dataclass(frozen=True, slots=True)
class UserDirectory:
    """The check that a token's user exists and is enabled. With `auto_create`, a valid token creates a new user."""

    store: Store
    auto_create: bool
    runtime: Runtime

    def __call__(self, identity: Identity) -> bool:
        """Return True if this is a user who is not disabled."""
        user = self.store.users.get(identity.user_id)
        if user is None and self.auto_create:
            user = User(identity.user_id, identity.name, created_at=self.runtime.now())
            if self.store.users.add(user):
                logger.info("user_created", user_id=user.user_id)
            else:
                # Another request was first, and an administrator may have disabled the user since.
                user = self.store.users.get(identity.user_id)
        return user is not None and not user.disabled
