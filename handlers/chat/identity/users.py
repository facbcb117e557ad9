"""Who may use this deployment: users in the table, or whoever has a valid token where new ones are made of those."""

from __future__ import annotations

from dataclasses import dataclass

from handlers.chat.concurrency import Runtime
from handlers.chat.identity.tokens import Identity
from handlers.chat.log import logger
from handlers.chat.records import User
from handlers.chat.store import Store


@dataclass(frozen=True, slots=True)
class Membership:
    """Answers whether somebody is a user. With `creates` a valid token is enough to become one."""

    store: Store
    creates: bool
    runtime: Runtime

    def __call__(self, identity: Identity) -> bool:
        """Tell whether this is a user who is not disabled."""
        user = self.store.users.get(identity.user_id)
        if user is None and self.creates:
            user = User(identity.user_id, identity.name, created_at=self.runtime.now())
            if self.store.users.add(user):
                logger.info("user created", user_id=user.user_id)
            else:  # somebody else was quicker, and may have disabled them since
                user = self.store.users.get(identity.user_id)
        return user is not None and not user.disabled
